import { closeSync, readSync } from 'node:fs';
import {
  closeQuietly,
  expectSame,
  expectThat,
  inChild,
  NotImplemented,
  pipe,
  readStatus,
  Wrong,
  _exit,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { CLONE, namespaceId, namespacePath, unshare, type NamespaceKind } from '../02-namespaces/index.ts';
import { answer } from './exercise-support.ts';
import { end, launch } from './launch.ts';

export const entering: Exercise = {
  gap: '05.1',
  task: 'Join the namespaces that exist, make the others, and put the container’s process into all of them.',
  hints: [
    'Three things cannot be done by the process itself: write its own id maps, enter a new pid namespace, and join a namespace of the host once it has a user namespace of its own.',
    'user_namespaces(7), pid_namespaces(7), setns(2). The runtime answers `map-ids` when it has written the maps; it must hear the second child’s pid.',
    'setns each; then, if user is to be made: unshare(CLONE.NEWUSER), send map-ids, awaitGo; becomeRoot where there is a user namespace; unshare the others but cgroup in one call; setClocks(plan, channel); fork(() => reporting(channel, () => inside(channel))); send its pid.',
  ],
  check: checkEnterNamespaces,
  wrong: [
    {
      mistake: 'makes the namespaces in the second child',
      code: `for (const [kind, fd] of namespaces) setns(fd, NAMESPACES[kind].flag);
if (plan.make.has('user')) {
  unshare(CLONE.NEWUSER);
  channel.send({ type: 'map-ids' });
  channel.awaitGo();
}
if (plan.make.has('user') || namespaces.has('user')) becomeRoot();
const others = [...plan.make].filter((kind) => kind !== 'user' && kind !== 'cgroup');
const pid = fork(() =>
  reporting(channel, () => {
    unshare(others.reduce((flags, kind) => flags | NAMESPACES[kind].flag, 0));
    inside(channel);
  }),
);
channel.send({ type: 'pid', pid });`,
      diagnosis: 'only its children',
    },
    {
      mistake: 'does not wait for the id maps',
      code: `for (const [kind, fd] of namespaces) setns(fd, NAMESPACES[kind].flag);
if (plan.make.has('user')) unshare(CLONE.NEWUSER);
if (plan.make.has('user') || namespaces.has('user')) becomeRoot();
const others = [...plan.make].filter((kind) => kind !== 'user' && kind !== 'cgroup');
unshare(others.reduce((flags, kind) => flags | NAMESPACES[kind].flag, 0));
const pid = fork(() => reporting(channel, () => inside(channel)));
channel.send({ type: 'pid', pid });`,
      diagnosis: 'map-ids',
    },
    {
      mistake: 'stays nobody in the new user namespace',
      code: `for (const [kind, fd] of namespaces) setns(fd, NAMESPACES[kind].flag);
if (plan.make.has('user')) {
  unshare(CLONE.NEWUSER);
  channel.send({ type: 'map-ids' });
  channel.awaitGo();
}
const others = [...plan.make].filter((kind) => kind !== 'user' && kind !== 'cgroup');
unshare(others.reduce((flags, kind) => flags | NAMESPACES[kind].flag, 0));
const pid = fork(() => reporting(channel, () => inside(channel)));
channel.send({ type: 'pid', pid });`,
      diagnosis: 'becomeRoot',
    },
    {
      mistake: 'forgets the namespaces to join',
      code: `if (plan.make.has('user')) {
  unshare(CLONE.NEWUSER);
  channel.send({ type: 'map-ids' });
  channel.awaitGo();
}
if (plan.make.has('user') || namespaces.has('user')) becomeRoot();
const others = [...plan.make].filter((kind) => kind !== 'user' && kind !== 'cgroup');
unshare(others.reduce((flags, kind) => flags | NAMESPACES[kind].flag, 0));
const pid = fork(() => reporting(channel, () => inside(channel)));
channel.send({ type: 'pid', pid });`,
      diagnosis: 'setns',
    },
    {
      mistake: 'joins after it has a user namespace of its own',
      code: `if (plan.make.has('user')) {
  unshare(CLONE.NEWUSER);
  channel.send({ type: 'map-ids' });
  channel.awaitGo();
}
if (plan.make.has('user') || namespaces.has('user')) becomeRoot();
for (const [kind, fd] of namespaces) setns(fd, NAMESPACES[kind].flag);
const others = [...plan.make].filter((kind) => kind !== 'user' && kind !== 'cgroup');
unshare(others.reduce((flags, kind) => flags | NAMESPACES[kind].flag, 0));
const pid = fork(() => reporting(channel, () => inside(channel)));
channel.send({ type: 'pid', pid });`,
      diagnosis: 'Join first',
    },
    {
      mistake: 'makes the cgroup namespace here already',
      code: `for (const [kind, fd] of namespaces) setns(fd, NAMESPACES[kind].flag);
if (plan.make.has('user')) {
  unshare(CLONE.NEWUSER);
  channel.send({ type: 'map-ids' });
  channel.awaitGo();
}
if (plan.make.has('user') || namespaces.has('user')) becomeRoot();
const others = [...plan.make].filter((kind) => kind !== 'user');
unshare(others.reduce((flags, kind) => flags | NAMESPACES[kind].flag, 0));
const pid = fork(() => reporting(channel, () => inside(channel)));
channel.send({ type: 'pid', pid });`,
      diagnosis: 'place in the host’s tree',
    },
  ],
};

function checkEnterNamespaces(t: Trial): void {
  // Someone else's namespaces, to be joined.
  const stranger = inChild(t, () => unshare(CLONE.NEWUTS | CLONE.NEWIPC)).pid;
  const joined = ['uts', 'ipc'] as const;
  const made = ['user', 'mnt', 'net', 'pid'] as const;
  for (const kind of joined)
    expectThat(namespaceId(stranger, kind) !== namespaceId('self', kind), 'another namespace', kind, '');
  const hostID = t.number(100_000, 500_000);
  const range = [{ containerID: 0, hostID, size: 65_536 }];
  const hold = pipe();
  t.cleanup(() => [hold.read, hold.write].forEach(closeQuietly));
  let pid: number;
  try {
    pid = launch(
      {
        make: new Set<NamespaceKind>([...made, 'cgroup']),
        join: Object.fromEntries(joined.map((kind) => [kind, namespacePath(stranger, kind)])),
        idMaps: { uid: range, gid: range },
      },
      (channel) => {
        channel.awaitGo();
        channel.send({ type: 'ready' });
        channel.awaitGo();
        channel.close();
        closeSync(hold.write);
        readSync(hold.read, Buffer.alloc(1)); // until it is ended
        return _exit(0);
      },
      { born: () => undefined, ready: () => undefined },
    );
  } catch (error) {
    const { message } = answer(error);
    // It was thrown in another process: only its words come over.
    const gap = '05.1 enterNamespaces';
    if (message.includes(`not implemented yet: ${gap}`)) throw new NotImplemented(gap);
    throw new Wrong({ expected: 'a process in namespaces', observed: message, cause: causeOf(message) });
  }
  if (pid > 0) t.cleanup(() => end(pid));
  const idOf = (kind: NamespaceKind): string => namespaceId(pid, kind);
  for (const kind of joined)
    expectSame(
      `its ${kind} namespace`,
      namespaceId(stranger, kind),
      idOf(kind),
      'The descriptors in `namespaces` are to be joined: setns.',
    );
  expectThat(
    idOf('pid') !== namespaceId('self', 'pid'),
    'a new pid namespace',
    idOf('pid'),
    'Who unshares the pid namespace stays in the old one; only its children are in the new one. unshare first, then fork.',
  );
  for (const kind of made)
    expectThat(
      idOf(kind) !== namespaceId('self', kind),
      `a new ${kind} namespace`,
      idOf(kind),
      'All kinds in plan.make are to be made.',
    );
  const status = readStatus(pid)!;
  expectSame('its process id inside', 1, status.nsPid.at(-1), 'The second child is the first process there.');
  expectSame(
    'its user, seen from outside',
    hostID,
    status.uid.effective,
    'Its user has no id in the new namespace: it is nobody (65534) there until becomeRoot.',
  );
  expectSame(
    'its cgroup namespace',
    namespaceId('self', 'cgroup'),
    idOf('cgroup'),
    'Not yet: before the cgroup namespace is made, the container’s place in the host’s tree must be read.',
  );
}

function causeOf(message: string): string {
  if (/setres[ug]id/.test(message))
    return 'No id can be taken before the maps are written, and only a process outside may write them: send map-ids, and awaitGo.';
  if (/setns.*EPERM/.test(message))
    return 'From inside a user namespace of its own a process has no rights over the host’s namespaces. Join first.';
  return 'See unshare(2) and setns(2) for this error.';
}
