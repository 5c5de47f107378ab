import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
  constants,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CannotCheck,
  closeQuietly,
  expectSame,
  expectThat,
  inChild,
  isErrno,
  knownCapabilities,
  namesOf,
  NotImplemented,
  pipe,
  readCapabilities,
  readCmdline,
  readMountinfo,
  readStat,
  readStatus,
  Wrong,
  _exit,
  type Capability,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import {
  CLONE,
  mount,
  MS,
  namespaceId,
  namespacePath,
  O_PATH,
  setgroups,
  unshare,
  type NamespaceKind,
} from '../02-namespaces/index.ts';
import { become, readIdentity } from './identity.ts';
import { runInit } from './init.ts';
import { end, launch } from './launch.ts';
import { maskPath } from './rootfs.ts';
import { OCI_VERSION, type OciSpec } from './spec.ts';

export const exercises: readonly Exercise[] = [
  {
    gap: '05.1',
    task: 'Join the namespaces that exist, make the others, and put the container’s process into all of them.',
    hints: [
      'Three things cannot be done by the process itself: write its own id maps, enter a new pid namespace, and join a namespace of the host once it has a user namespace of its own.',
      'user_namespaces(7), pid_namespaces(7), setns(2). The runtime answers `map-ids` when it has written the maps; it must hear the second child’s pid.',
      'setns each; then, if user is to be made: unshare(CLONE.NEWUSER), send map-ids, awaitGo; becomeRoot where there is a user namespace; unshare the others but cgroup in one call; fork(() => reporting(channel, () => inside(channel))); send its pid.',
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
  },
  {
    gap: '05.2',
    task: 'Hide a path of the container: a file behind /dev/null, a directory behind an empty tmpfs.',
    hints: [
      'A mount covers what lies below it. It has to be of the same kind: a file covers a file, a directory a directory.',
      'openInRootIfThere gives a descriptor of the place, found inside the root, or undefined; fdPath(fd) is a path that reaches it without walking. attach(tree, target) mounts what openNull gives.',
      'undefined: return. using(target, …): a directory gets mount({ type: "tmpfs", target: fdPath(target), flags: MS.RDONLY, … }); else using(openNull(), (nothing) => attach(nothing, target)).',
    ],
    check: checkMaskPath,
    wrong: [
      {
        mistake: 'covers directories with /dev/null too',
        code: `const target = openInRootIfThere(rootFd, path);
if (target === undefined) return;
using(target, () => using(openNull(), (nothing) => attach(nothing, target)));`,
        diagnosis: 'ENOTDIR',
      },
      {
        mistake: 'leaves the tmpfs writable',
        code: `const target = openInRootIfThere(rootFd, path);
if (target === undefined) return;
using(target, () => {
  if (statSync(fdPath(target)).isDirectory())
    mount({ source: 'tmpfs', target: fdPath(target), type: 'tmpfs' });
  else using(openNull(), (nothing) => attach(nothing, target));
});`,
        diagnosis: 'MS.RDONLY',
      },
      {
        mistake: 'goes by the path, links and all',
        code: `const target = \`\${fdPath(rootFd)}/\${path}\`;
let isDirectory: boolean;
try {
  isDirectory = statSync(target).isDirectory();
} catch {
  return;
}
if (isDirectory) mount({ source: 'tmpfs', target, type: 'tmpfs', flags: MS.RDONLY });
else mount({ source: '/dev/null', target, flags: MS.BIND });`,
        diagnosis: 'a link of the image',
      },
      {
        mistake: 'fails for what is not there',
        code: `const target = openInRootIfThere(rootFd, path);
if (target === undefined) throw new Error(\`\${path} is not there\`);
using(target, () => {
  if (statSync(fdPath(target)).isDirectory())
    mount({ source: 'tmpfs', target: fdPath(target), type: 'tmpfs', flags: MS.RDONLY });
  else using(openNull(), (nothing) => attach(nothing, target));
});`,
        diagnosis: 'needs no hiding',
      },
      {
        mistake: 'leaves its descriptors open',
        code: `const target = openInRootIfThere(rootFd, path);
if (target === undefined) return;
if (statSync(fdPath(target)).isDirectory())
  mount({ source: 'tmpfs', target: fdPath(target), type: 'tmpfs', flags: MS.RDONLY });
else attach(openNull(), target);`,
        diagnosis: 'below the mount',
      },
    ],
  },
  {
    gap: '05.3',
    task: 'Become the container’s user with the container’s capabilities, and nothing more.',
    hints: [
      'Each step takes away something that an earlier one needs. Which step needs CAP_SETPCAP, which CAP_SETGID, and what happens to capabilities when root becomes someone else?',
      'capabilities(7), "Effect of user ID changes on capabilities"; prctl(2): PR_CAPBSET_DROP, PR_SET_KEEPCAPS. An ambient capability must be permitted and inheritable first.',
      'Drop from the bounding set all that is not in capabilities.bounding; KEEPCAPS 1; setGroups; setresgid; setresuid; KEEPCAPS 0; setCapabilities; clearAmbient; raiseOrSkip each; umask.',
    ],
    check: checkBecome,
    wrong: [
      {
        mistake: 'changes the user before the group',
        code: `for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
prctl(PR.SET_KEEPCAPS, 1);
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
        diagnosis: 'groups come before the user',
      },
      {
        mistake: 'does not keep the permitted set',
        code: `for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
        diagnosis: 'SET_KEEPCAPS',
      },
      {
        mistake: 'forgets the bounding set',
        code: `prctl(PR.SET_KEEPCAPS, 1);
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
prctl(PR.SET_KEEPCAPS, 0);
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
        diagnosis: 'setuid program gets back',
      },
      {
        mistake: 'drops the bounding set when the right to do so is gone',
        code: `prctl(PR.SET_KEEPCAPS, 1);
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
        diagnosis: 'CAP_SETPCAP',
      },
      {
        mistake: 'keeps the supplementary groups',
        code: `for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
prctl(PR.SET_KEEPCAPS, 1);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
prctl(PR.SET_KEEPCAPS, 0);
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
        diagnosis: 'supplementary groups',
      },
      {
        mistake: 'raises ambient capabilities too early',
        code: `for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
prctl(PR.SET_KEEPCAPS, 1);
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
prctl(PR.SET_KEEPCAPS, 0);
setCapabilities(capabilities);
process.umask(user.umask ?? 0o022);`,
        diagnosis: 'permitted and inheritable',
      },
    ],
  },
  {
    gap: '05.4',
    task: 'Wait, without anyone who keeps count, until `start` lets this process become the container’s program.',
    hints: [
      'A fifo has two ends, and open(2) of one returns when somebody opens the other. So a process can wait for a command that comes tomorrow.',
      'The fifo is held as a descriptor (O_PATH), which cannot be written to; a path leads from it to the file: self/fd/N in /proc. But whose /proc? `proc` is the host’s, and openAt begins there. openat(2), fifo(7).',
      'fd = openAt(proc, `self/fd/${fifo}`, O_WRONLY | O_CLOEXEC); writeSync(fd, "0"); closeSync(fd).',
    ],
    check: checkWaitForStart,
    wrong: [
      {
        mistake: 'opens both ends',
        code: `const fd = openAt(proc, \`self/fd/\${fifo}\`, 2 | O_CLOEXEC);
writeSync(fd, '0');
closeSync(fd);`,
        diagnosis: 'for writing alone',
      },
      {
        mistake: 'goes by the container’s own /proc',
        code: `const fd = openAt(-100, \`/proc/self/fd/\${fifo}\`, O_WRONLY | O_CLOEXEC); // AT_FDCWD
writeSync(fd, '0');
closeSync(fd);`,
        diagnosis: 'the host’s /proc',
      },
      {
        mistake: 'waits at the wrong end',
        code: `const fd = openAt(proc, \`self/fd/\${fifo}\`, O_CLOEXEC);
closeSync(fd);`,
        diagnosis: 'the other end',
      },
      {
        mistake: 'says nothing',
        code: `closeSync(openAt(proc, \`self/fd/\${fifo}\`, O_WRONLY | O_CLOEXEC));`,
        diagnosis: 'one byte',
      },
      {
        mistake: 'leaves the fifo to the program',
        code: `writeSync(openAt(proc, \`self/fd/\${fifo}\`, O_WRONLY), '0');`,
        diagnosis: 'the runtime’s state',
      },
    ],
  },
];

/** Rethrows what is not the learner's answer; gives the error back when it is. */
function answer(error: unknown): Error & { syscall?: string } {
  if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
  return error;
}

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

function checkMaskPath(t: Trial): void {
  const [root, outside] = [t.folder(), t.folder()];
  const [file, dir, link, victim, missing] = [t.word(), t.word(), t.word(), t.word(), t.word()];
  const secret = t.word();
  writeFileSync(join(root, file), secret);
  mkdirSync(join(root, dir));
  writeFileSync(join(root, dir, file), secret);
  writeFileSync(join(outside, victim), 'of the host');
  symlinkSync(join(outside, victim), join(root, link));
  const { result, pid } = inChild(t, () => {
    unshare(CLONE.NEWNS);
    mount({ target: '/', flags: MS.REC | MS.PRIVATE });
    const fd = openSync(root, O_PATH | constants.O_DIRECTORY);
    const held = openDescriptors();
    const errors: Record<string, string> = {};
    for (const path of [`/${file}`, `/${dir}`, `/${link}`, `/${missing}/${file}`])
      try {
        maskPath(fd, path);
      } catch (error) {
        errors[path] = answer(error).message;
      }
    return { errors, leaked: openDescriptors() - held };
  });
  const inside = (path: string): string => `/proc/${pid}/root${path}`;
  const error = (path: string): string => result.errors[path] ?? 'no error';
  expectSame('hiding a file', 'no error', error(`/${file}`), 'Attach what openNull gives to the file.');
  const device = statSync(inside(join(root, file)));
  expectThat(
    device.isCharacterDevice() && readFileSync(inside(join(root, file)), 'utf8') === '',
    'the null device in the file’s place',
    readFileSync(inside(join(root, file)), 'utf8'),
    'The file can still be read: attach what openNull gives to it.',
  );
  expectSame(
    'hiding a directory',
    'no error',
    error(`/${dir}`),
    'ENOTDIR: a file can cover a file only. A directory is hidden behind an empty tmpfs.',
  );
  const names = readdirSync(inside(join(root, dir)));
  expectSame('what is seen in the directory', [], names, 'The directory needs an empty tmpfs on top.');
  const covering = readMountinfo(pid)!.find(({ mountPoint }) => mountPoint === join(root, dir));
  expectThat(
    writing(inside(join(root, dir, t.word()))) === 'EROFS',
    'EROFS on writing there',
    `a mount ${covering?.type ?? 'of nothing'} that can be written`,
    'Container programs would find a place where nobody looks: mount it with MS.RDONLY.',
  );
  expectSame(
    'a file of the host, to which the image has a link',
    'of the host',
    readFileSync(inside(join(outside, victim)), 'utf8'),
    'You were led out of the root by a link of the image, and covered a file of the host. Find the place with openInRootIfThere.',
  );
  const absent = error(`/${missing}/${file}`);
  expectSame('hiding what is not there', 'no error', absent, 'What is not there needs no hiding.');
  expectSame(
    'descriptors left open',
    0,
    result.leaked,
    'A descriptor still leads to what lies below the mount: close it (using).',
  );
  expectSame('the same file on the host', secret, readFileSync(join(root, file), 'utf8'), 'Mount it only.');
}

/** What the kernel says to a new file there. */
function writing(path: string): string {
  try {
    writeFileSync(path, '');
    return 'written';
  } catch (error) {
    return isErrno(error, 'EROFS') ? 'EROFS' : String(error);
  }
}

function checkBecome(t: Trial): void {
  const known = knownCapabilities();
  const own = readCapabilities('self')?.permitted ?? [];
  const spare = own.filter((name) => name !== 'CAP_SETPCAP');
  if (spare.length < 8) throw new CannotCheck('this process has few capabilities', 'run as root, sudo');
  const draw = (): Capability => spare.splice(t.number(0, spare.length - 1), 1)[0]!;
  const given = [draw(), draw(), draw(), draw()];
  const sorted = (names: readonly Capability[]): Capability[] => known.filter((name) => names.includes(name));
  const capabilities = {
    bounding: sorted([...given, draw()]),
    permitted: sorted(given),
    effective: sorted(given.slice(0, 3)),
    inheritable: sorted(given.slice(1)),
    ambient: sorted(given.slice(1, 3)),
  };
  const uid = t.number(1000, 60_000);
  const user = {
    uid,
    gid: uid + t.number(1, 99),
    additionalGids: [t.number(100, 199), t.number(200, 299)],
    umask: [0o027, 0o077, 0o007][t.number(0, 2)]!,
  };
  const left = 400 + t.number(0, 99);
  let pid: number;
  try {
    ({ pid } = inChild(t, () => {
      setgroups([left]); // root's own groups, which must not come along
      become({ user, capabilities, known });
    }));
  } catch (error) {
    const { message, syscall } = answer(error);
    const causes: Record<string, string> = {
      setresgid: 'With the user goes the right to change groups (CAP_SETGID): groups come before the user.',
      setgroups: 'With the user goes the right to change groups (CAP_SETGID): groups come before the user.',
      capset:
        'When root becomes someone else, the kernel empties the permitted set, and what is not permitted cannot be had: PR.SET_KEEPCAPS before.',
      prctl:
        'Dropping from the bounding set needs CAP_SETPCAP in effect: do it first, before the user is changed.',
    };
    const cause = causes[syscall ?? ''] ?? 'See capabilities(7) for this error.';
    throw new Wrong({ expected: 'no system call to fail', observed: message, cause });
  }
  const status = readStatus(pid)!;
  expectSame('Uid', user.uid, status.uid.effective, 'The user is not the one of config.json: setresuid.');
  expectSame(
    'Uid, all four',
    1,
    new Set(Object.values(status.uid)).size,
    'Real, effective and saved: setresuid.',
  );
  expectSame('Gid', user.gid, status.gid.effective, 'The group is not the one of config.json: setresgid.');
  expectSame(
    'Groups',
    user.additionalGids,
    [...status.groups].sort((a, b) => a - b),
    status.groups.includes(left)
      ? 'The runtime’s supplementary groups came along, and with them its access to files: setGroups.'
      : 'The groups are additionalGids: setGroups.',
  );
  const set = (mask: bigint): Capability[] => namesOf(mask).filter((name) => known.includes(name));
  const { bounding, permitted, effective, inheritable, ambient } = status.capabilities;
  expectSame('CapPrm', capabilities.permitted, sorted(set(permitted)), 'setCapabilities sets it.');
  expectSame('CapEff', capabilities.effective, sorted(set(effective)), 'setCapabilities sets it.');
  expectSame('CapInh', capabilities.inheritable, sorted(set(inheritable)), 'setCapabilities sets it.');
  expectSame(
    'CapBnd',
    capabilities.bounding,
    sorted(set(bounding)),
    'Whatever stays in the bounding set, a setuid program gets back: drop from it all that config.json does not name.',
  );
  expectSame(
    'CapAmb',
    capabilities.ambient,
    sorted(set(ambient)),
    'An ambient capability must be permitted and inheritable before: raise them last, after setCapabilities.',
  );
  const mask = parseInt(status.lines['Umask'] ?? '', 8);
  expectSame('Umask', user.umask.toString(8), mask.toString(8), 'process.umask(user.umask).');
}

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

async function checkWaitForStart(t: Trial): Promise<void> {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (!busybox) throw new CannotCheck('there is no busybox', 'apt-get install busybox-static');
  const [folder, root] = [t.folder(), t.folder()];
  const seconds = String(t.number(1000, 9999));
  mkdirSync(join(root, 'bin'));
  copyFileSync(busybox, join(root, 'bin/busybox'));
  const path = join(folder, 'exec.fifo');
  execFileSync('mkfifo', [path]);
  const fifo = openSync(path, O_PATH);
  const proc = openSync('/proc', O_PATH);
  const said = pipe();
  t.cleanup(() => [fifo, proc, said.read, said.write].forEach(closeQuietly));
  const program = { cwd: '/', args: ['/bin/busybox', 'sleep', seconds], env: [], user: { uid: 0, gid: 0 } };
  // The image has no /proc, and gets none.
  const spec: OciSpec = {
    ociVersion: OCI_VERSION,
    process: program,
    root: { path: root },
    mounts: [],
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }] },
  };
  const [id, created, owner] = [t.word(), new Date().toISOString(), 'root'];
  const none = { pid: 0, startTime: 0, cgroup: '' };
  const state = { version: 1 as const, id, bundle: folder, rootfs: root, created, owner, spec, ...none };
  const identity = readIdentity(program);
  const options = {
    filter: undefined,
    consoleSocket: undefined,
    preserveFds: 0,
    noPivot: false,
    noNewKeyring: true,
  };
  const pid = launch(
    { make: new Set<NamespaceKind>(['mnt', 'pid']), join: {} },
    (channel) => {
      try {
        return runInit({ state, process: program, identity, fifo, proc, ...options }, channel);
      } catch (error) {
        writeSync(said.write, String(error));
        throw error;
      }
    },
    { born: () => undefined, ready: () => undefined },
  );
  t.cleanup(() => end(pid));
  closeSync(said.write);

  const words = (): string => readCmdline(pid)?.join(' ') ?? '';
  const runs = (): boolean => words().endsWith(`sleep ${seconds}`);
  const ended = (): boolean => (readStat(pid)?.state ?? 'Z') === 'Z';
  await eventually(() => runs() || ended(), 600);
  if (ended()) {
    const bytes = Buffer.alloc(1000);
    const message = bytes.toString('utf8', 0, readSync(said.read, bytes));
    const gap = '05.4 waitForStart';
    if (message.includes(`not implemented yet: ${gap}`)) throw new NotImplemented(gap);
    throw new Wrong({
      expected: 'a process that waits',
      observed: message || 'it has ended',
      cause:
        'The container may have no /proc, or one of its own making: begin at the host’s /proc, by `proc`.',
    });
  }
  expectThat(
    !runs(),
    'a process that waits before `start`',
    words(),
    'Whoever opens both ends of a fifo need not wait for anyone: open it for writing alone.',
  );
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.cleanup(() => closeSync(reader));
  const bytes = Buffer.alloc(10);
  let count = 0;
  await eventually(() => (count ||= readIfReady(reader, bytes)) > 0 && runs(), 1500);
  expectThat(
    runs(),
    `the program /bin/busybox sleep ${seconds}`,
    words(),
    'It still waits, although `start` has opened the fifo for reading: wait at the other end, by opening it for writing.',
  );
  expectSame(
    'what `start` reads',
    '0',
    bytes.toString('utf8', 0, count),
    'one byte says to `start` that the process goes on; an end without it, that the process has ended.',
  );
  expectSame(
    'the program’s descriptors',
    ['0', '1', '2'],
    readdirSync(`/proc/${pid}/fd`).sort(),
    'The program has a way to a file of the runtime’s state on the host: O_CLOEXEC, and close it.',
  );
}

/** How many bytes there were to read at once. */
function readIfReady(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into);
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return 0;
    throw error;
  }
}

/** Waits until `holds`, at most so many milliseconds. */
async function eventually(holds: () => boolean, milliseconds: number): Promise<void> {
  for (const late = Date.now() + milliseconds; !holds() && Date.now() < late;) await sleep(10);
}
