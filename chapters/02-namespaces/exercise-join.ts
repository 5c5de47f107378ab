import { execFileSync } from 'node:child_process';
import {
  expectSame,
  expectThat,
  inChild,
  isErrno,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { strangerIn } from './exercise-support.ts';
import { joinNamespaces, namespaceId, namespacePath } from './namespaces.ts';

export const joining: Exercise = {
  gap: '02.1',
  task: 'Join namespaces by their paths, as docker exec does.',
  hints: [
    'setns(2) takes a descriptor of /proc/PID/ns/KIND. Once in another mount namespace, the old /proc cannot be seen any more.',
    'Two things decide the order: all paths are opened before the first is joined, and the mount namespace is joined last. `kinds` has the right order.',
    'For each of kinds with a path: openSync(path). Then for each: if it is mnt, unshare(CLONE.FS); setns(fd, NAMESPACES[kind].flag). Close all in finally.',
  ],
  check: checkJoin,
  wrong: [
    {
      mistake: 'opens each one when it is its turn, mount first',
      code: `for (const kind of [...kinds].reverse()) {
  const path = paths[kind];
  if (path === undefined) continue;
  const fd = openSync(path, 'r');
  if (kind === 'mnt') unshare(CLONE.FS);
  setns(fd, NAMESPACES[kind].flag);
  closeSync(fd);
}`,
      diagnosis: 'Open all of them before you join the first',
    },
    {
      mistake: 'closes the descriptors before they are joined',
      code: `const fds: [NamespaceKind, number][] = [];
for (const kind of kinds) {
  const path = paths[kind];
  if (path === undefined) continue;
  const fd = openSync(path, 'r');
  fds.push([kind, fd]);
  closeSync(fd);
}
for (const [kind, fd] of fds) {
  if (kind === 'mnt') unshare(CLONE.FS);
  setns(fd, NAMESPACES[kind].flag);
}`,
      diagnosis: 'EBADF',
    },
    {
      mistake: 'makes new namespaces and joins none',
      code: `for (const kind of kinds) if (paths[kind] !== undefined) unshare(NAMESPACES[kind].flag);`,
      diagnosis: 'unshare makes new ones',
    },
  ],
};

async function checkJoin(t: Trial): Promise<void> {
  const stranger = await strangerIn(t, '--mount', '--uts', '--ipc', '--net');
  const kinds = ['ipc', 'mnt', 'net', 'uts'] as const;
  // A root that has no /proc: after the mount namespace is joined, /proc/PID leads nowhere.
  execFileSync('nsenter', ['-t', String(stranger), '--mount', 'mount', '-t', 'tmpfs', 'empty', '/proc']);
  const paths = Object.fromEntries(kinds.map((kind) => [kind, namespacePath(stranger, kind)]));
  const idsOf = (pid: number): object =>
    Object.fromEntries(kinds.map((kind) => [kind, namespaceId(pid, kind)]));
  const before = idsOf(process.pid);
  expectThat(
    JSON.stringify(before) !== JSON.stringify(idsOf(stranger)),
    'a process in other namespaces',
    before,
    '',
  );
  let pid: number;
  try {
    ({ pid } = inChild(t, () => joinNamespaces(paths)));
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    const cause = isErrno(error, 'ENOENT')
      ? 'After the mount namespace is joined, /proc is the other one’s. Open all of them before you join the first.'
      : isErrno(error, 'EBADF')
        ? 'EBADF: setns takes an open descriptor. Close it only after it was joined.'
        : 'See setns(2) for this error.';
    throw new Wrong({ expected: 'the namespaces to be joined', observed: error.message, cause });
  }
  expectSame(
    'the namespaces of the child',
    idsOf(stranger),
    idsOf(pid),
    'setns joins namespaces that exist; unshare makes new ones.',
  );
}
