import { readSync, writeFileSync, writeSync } from 'node:fs';
import {
  fork,
  getpid,
  limitBounding,
  pipe,
  PR,
  prctl,
  raiseAmbient,
  setCapabilities,
  setParentDeathSignal,
  SIGNALS,
} from '../../chapters/01-processes/index.ts';
import {
  CLONE,
  setgid,
  setgroups,
  setuid,
  unshare,
  writeIdMaps,
} from '../../chapters/02-namespaces/index.ts';
import { type Row, explains, dropAll } from './coach-support.ts';

const one = (host = 0) => [{ containerID: 0, hostID: host, size: 1 }];
/** A child in a new user namespace, which waits until its parent ends. */
function userChild(): number {
  const { read, write } = pipe();
  const pid = fork(() => {
    prctl(PR.SET_DUMPABLE, 1);
    unshare(CLONE.NEWUSER);
    setParentDeathSignal(SIGNALS['SIGKILL']!);
    writeSync(write, 'x');
    readSync(pipe().read, Buffer.alloc(1));
  });
  readSync(read, Buffer.alloc(1));
  return pid;
}
/** From here on a user without rights, whose children's files in /proc are still its own. */
function becomeUser(): void {
  setgroups([]);
  setgid(1000);
  setuid(1000);
  prctl(PR.SET_DUMPABLE, 1);
}
/** As the layers write to /proc: the path is in the error. */
function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new Error(`write ${JSON.stringify(text)} to ${path}`, { cause: error });
  }
}

const RIGHTS: Row[] = [
  [
    'a map that is written twice',
    () => {
      const pid = userChild();
      writeIdMaps(pid, { uid: one(), gid: one() });
      writeIdMaps(pid, { uid: one(), gid: one() });
    },
    'uid_map has been written already (0 0 1)',
  ],
  [
    'a map of a process that did not unshare',
    () => writeIdMaps(getpid(), { uid: one(), gid: one() }),
    'in the same user namespace as this one',
  ],
  [
    'groups mapped by an unprivileged writer without deny',
    () => {
      becomeUser();
      const pid = userChild();
      writeIdMaps(pid, { uid: one(1000), gid: one(1000) });
    },
    'Write "deny" to /proc/PID/setgroups before gid_map',
  ],
  [
    'more ids than an unprivileged writer may map',
    () => {
      becomeUser();
      const pid = userChild();
      writeIdMaps(pid, { uid: [{ containerID: 0, hostID: 1000, size: 2 }], gid: one(1000) });
    },
    'more needs CAP_SETUID and CAP_SETGID',
  ],
  [
    'a process that maps more than itself',
    () => {
      unshare(CLONE.NEWUSER);
      writeIdMaps(getpid(), { uid: [{ containerID: 0, hostID: 0, size: 2 }], gid: one() });
    },
    'The process writes its own uid_map',
  ],
  [
    'setgroups denied after gid_map',
    () => {
      const pid = userChild();
      writeIdMaps(pid, { uid: one(), gid: one() });
      write(`/proc/${pid}/setgroups`, 'deny');
    },
    'can be denied only before gid_map',
  ],
  [
    'a map with a range of nothing',
    () => write(`/proc/${userChild()}/uid_map`, '0 0 0'),
    'A map is lines of three numbers',
  ],
  [
    'setgroups where it is denied',
    () => {
      unshare(CLONE.NEWUSER);
      writeFileSync('/proc/self/setgroups', 'deny');
      setgroups([]);
    },
    '/proc/self/setgroups says deny',
  ],
  ['setgroups before the map', () => (unshare(CLONE.NEWUSER), setgroups([])), 'has no gid_map yet'],
  [
    'groups after the user',
    () => (setuid(1000), setgid(1000)),
    'Set groups first, then the group, and the user last',
  ],
  ['a second user', () => (setuid(1000), setuid(1001)), 'To become another user needs CAP_SETUID'],
  [
    'a capability that is gone',
    () => {
      dropAll();
      setCapabilities({ effective: ['CAP_KILL'] });
    },
    'permitted can not grow (it has 0 capabilities now)',
  ],
  [
    'the bounding set, too late',
    () => (dropAll(), limitBounding([])),
    'Limit the bounding set before the other sets',
  ],
  [
    'an ambient capability that is not inheritable',
    () => raiseAmbient('CAP_KILL'),
    'Put it into the inheritable set first',
  ],
  ['prctl of nothing', () => prctl(99_999), 'prctl knows no such operation'],
];

explains('rights', RIGHTS);
