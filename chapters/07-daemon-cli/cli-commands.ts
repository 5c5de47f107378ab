import { attach } from './cli-attach.ts';
import type { CliCommand } from './cli-command.ts';
import { create } from './cli-create.ts';
import { exec } from './cli-exec.ts';
import { images } from './cli-images.ts';
import { info } from './cli-info.ts';
import { inspect } from './cli-inspect.ts';
import { kill } from './cli-kill.ts';
import { load } from './cli-load.ts';
import { logs } from './cli-logs.ts';
import { pause, unpause } from './cli-pause.ts';
import { port } from './cli-port.ts';
import { ps } from './cli-ps.ts';
import { pull } from './cli-pull.ts';
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
  images,
  pull,
  version,
  info,
  attach,
  create,
  inspect,
  kill,
  load,
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
