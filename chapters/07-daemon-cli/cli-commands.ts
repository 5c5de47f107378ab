import { attach } from './cli-attach.ts';
import { build } from './cli-build.ts';
import type { CliCommand } from './cli-command.ts';
import { commit } from './cli-commit.ts';
import { cp } from './cli-cp.ts';
import { create } from './cli-create.ts';
import { diff } from './cli-diff.ts';
import { exec } from './cli-exec.ts';
import { exportContainer } from './cli-export.ts';
import { history } from './cli-history.ts';
import { imagePrune } from './cli-image-prune.ts';
import { images } from './cli-images.ts';
import { importImage } from './cli-import.ts';
import { info } from './cli-info.ts';
import { inspect } from './cli-inspect.ts';
import { kill } from './cli-kill.ts';
import { load } from './cli-load.ts';
import { login, logout } from './cli-login.ts';
import { logs } from './cli-logs.ts';
import { pause, unpause } from './cli-pause.ts';
import { port } from './cli-port.ts';
import { ps } from './cli-ps.ts';
import { pull } from './cli-pull.ts';
import { push } from './cli-push.ts';
import { rename } from './cli-rename.ts';
import { rm } from './cli-rm.ts';
import { rmi } from './cli-rmi.ts';
import { run } from './cli-run.ts';
import { save } from './cli-save.ts';
import { start } from './cli-start.ts';
import { stats } from './cli-stats.ts';
import { restart, stop } from './cli-stop.ts';
import { tag } from './cli-tag.ts';
import { top } from './cli-top.ts';
import { version } from './cli-version.ts';
import { wait } from './cli-wait.ts';

/** Every command of `mydocker`, in the order in which help lists them. */
export const COMMANDS: readonly CliCommand[] = [
  run,
  exec,
  ps,
  build,
  images,
  pull,
  push,
  version,
  info,
  attach,
  commit,
  cp,
  create,
  diff,
  exportContainer,
  history,
  imagePrune,
  importImage,
  inspect,
  kill,
  load,
  login,
  logout,
  logs,
  pause,
  port,
  rename,
  restart,
  rm,
  rmi,
  save,
  start,
  stats,
  stop,
  tag,
  top,
  unpause,
  wait,
];
