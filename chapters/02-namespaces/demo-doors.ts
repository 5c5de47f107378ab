import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dup2, type Step } from '../01-processes/index.ts';
import { ask, emptyFolder, parked, tag } from './demo-support.ts';
import {
  CLONE,
  enterAndRun,
  inodeOf,
  namespaceId,
  namespacePath,
  namespaceTable,
  pinNamespace,
  sethostname,
  unpinNamespace,
  unshare,
} from './index.ts';

// A namespace without a process: kept, listed, entered, let go.

export function pinned(s: Step): void {
  const { dir, remove } = emptyFolder();
  s.cleanup(`remove ${dir}`, remove);
  const name = `pinned-${tag}`;
  const file = join(dir, 'uts');
  const child = parked(() => {
    unshare(CLONE.NEWUTS);
    sethostname(name);
  });
  s.cleanup(`end process ${child.pid}`, child.end);
  const id = namespaceId(child.pid, 'uts');
  pinNamespace(namespacePath(child.pid, 'uts'), file);
  s.cleanup(`unmount ${file}`, () => unpinNamespace(file));
  s.call(`mount("/proc/${child.pid}/ns/uts", "${file}", NULL, MS_BIND)`, 0);
  child.end();
  s.note(`process ${child.pid} has ended; nobody is in ${id}`);
  const row = namespaceTable().find(({ NS }) => NS === inodeOf(id));
  s.evidence('what our lsns says of it: NS TYPE NPROCS NSFS', {
    host: row ? `${row.NS} ${row.TYPE} ${row.NPROCS} ${row.NSFS}` : 'nothing',
  });
  s.claim('no process is in it, and it is there', row?.NPROCS === 0);
  const said = ask(() => {
    const out = openSync(join(dir, 'said'), 'w');
    dup2(out, 1);
    enterAndRun({ paths: { uts: file } }, ['sh', '-c', 'readlink /proc/self/ns/uts; uname -n']);
    return readFileSync(join(dir, 'said'), 'utf8').trim().split('\n');
  });
  s.call(`setns(open("${file}"), CLONE_NEWUTS), execve("/bin/sh", …): nsenter --uts=${file}`, 0);
  s.evidence('uts namespace', { 'of the ended process': id, 'of who joined': said.join(' ') });
  s.claim('the namespace was still there, and its name too', said[0] === id && said[1] === name);
  unpinNamespace(file);
  s.call(`umount2("${file}", MNT_DETACH)`, 0);
  // Its number is free, and may be somebody else's by now: of a namespace that has a process.
  const still = namespaceTable().find(({ NS, NPROCS }) => NS === row?.NS && NPROCS === 0);
  s.claim('unpinned, nobody holds it and it is gone', row !== undefined && still === undefined);
}
