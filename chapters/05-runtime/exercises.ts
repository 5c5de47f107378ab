import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
  constants,
} from 'node:fs';
import { join } from 'node:path';
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
  readMountinfo,
  readStatus,
  Wrong,
  _exit,
  type Capability,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import {
  CLONE,
  MNT,
  mount,
  MS,
  namespaceId,
  namespacePath,
  setgroups,
  setns,
  umount,
  unshare,
  type NamespaceKind,
} from '../02-namespaces/index.ts';
import { become } from './identity.ts';
import { end, launch } from './launch.ts';
import { enterRoot, maskPath, prepareRoot } from './rootfs.ts';
import { O_PATH, openInRoot } from './safe-path.ts';

export const exercises: readonly Exercise[] = [
  {
    gap: '05.1',
    task: 'Open a path of the image so that nothing on it leads out of the container’s root.',
    hints: [
      'The image wrote the links, and another container may change them between your look and your step. Let the kernel walk, and tell it where the root is.',
      'openat2(2): struct open_how is three numbers of 64 bits: flags, mode, resolve. RESOLVE holds the flags that you need; c_openat2 takes the structure as a Buffer.',
      'how = Buffer.alloc(24); flags | O_CLOEXEC at 0; IN_ROOT | NO_MAGICLINKS (| NO_SYMLINKS when asked) at 16; checked(…, c_openat2(rootFd, path or ".", how)), again on EAGAIN, at most MAX_TRIES times.',
    ],
    check: checkOpenInRoot,
    wrong: [
      {
        mistake: 'looks for .. in the path and joins it to the root',
        code: `const clean = posix.normalize(\`/\${path}\`);
return openSync(\`/proc/self/fd/\${rootFd}\${clean}\`, flags | O_CLOEXEC);`,
        diagnosis: 'a link of the image led out',
      },
      {
        mistake: 'calls openat2 without a resolve flag',
        code: `const how = Buffer.alloc(24);
how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC));
if (noSymlinks) how.writeBigUInt64LE(BigInt(RESOLVE.NO_SYMLINKS), 16);
return checked('openat2', c_openat2(rootFd, path === '' ? '.' : path, how), path);`,
        diagnosis: 'RESOLVE.IN_ROOT',
      },
      {
        mistake: 'writes resolve where the mode belongs',
        code: `const how = Buffer.alloc(24);
how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC));
how.writeBigUInt64LE(BigInt(RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | (noSymlinks ? RESOLVE.NO_SYMLINKS : 0)), 8);
return checked('openat2', c_openat2(rootFd, path === '' ? '.' : path, how), path);`,
        diagnosis: 'third number',
      },
      {
        mistake: 'forgets O_CLOEXEC',
        code: `const how = Buffer.alloc(24);
how.writeBigUInt64LE(BigInt(flags));
how.writeBigUInt64LE(BigInt(RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | (noSymlinks ? RESOLVE.NO_SYMLINKS : 0)), 16);
return checked('openat2', c_openat2(rootFd, path === '' ? '.' : path, how), path);`,
        diagnosis: 'CVE-2024-21626',
      },
      {
        mistake: 'follows links although it was told not to',
        code: `const how = Buffer.alloc(24);
how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC));
how.writeBigUInt64LE(BigInt(RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS), 16);
return checked('openat2', c_openat2(rootFd, path === '' ? '.' : path, how), path);`,
        diagnosis: 'noSymlinks',
      },
    ],
  },
  {
    gap: '05.2',
    task: 'Give the mount namespace the container’s root, and take the host’s away, whole.',
    hints: [
      'chroot moves one process and leaves every mount. pivot_root swaps the mounts; the old root is then still there, and so is your way into it.',
      'pivot_root(2), "pivot_root(".", ".")": the old root lands on top of the new one. A descriptor of "/" that was opened before leads to it.',
      'oldRoot = open /; fchdir(rootFd); pivotRoot(".", "."); fchdir(oldRoot); make it a slave (MS.SLAVE | MS.REC); umount(".", MNT.DETACH); chdir("/"); close oldRoot in finally.',
    ],
    check: checkEnterRoot,
    wrong: [
      {
        mistake: 'uses chroot',
        code: `fchdir(rootFd);
chroot('.');
process.chdir('/');`,
        diagnosis: 'chroot changes',
      },
      {
        mistake: 'leaves the old root mounted',
        code: `fchdir(rootFd);
pivotRoot('.', '.');
process.chdir('/');`,
        diagnosis: 'MNT.DETACH',
      },
      {
        mistake: 'forgets MS_SLAVE',
        code: `const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
try {
  fchdir(rootFd);
  pivotRoot('.', '.');
  fchdir(oldRoot);
  umount('.', MNT.DETACH);
  process.chdir('/');
} finally {
  closeSync(oldRoot);
}`,
        diagnosis: 'MS.SLAVE',
      },
      {
        mistake: 'stays in the old root',
        code: `const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
try {
  fchdir(rootFd);
  pivotRoot('.', '.');
  fchdir(oldRoot);
  mount({ target: '.', flags: MS.SLAVE | MS.REC });
  umount('.', MNT.DETACH);
} finally {
  closeSync(oldRoot);
}`,
        diagnosis: 'working directory',
      },
      {
        mistake: 'keeps the descriptor of the old root',
        code: `const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
fchdir(rootFd);
pivotRoot('.', '.');
fchdir(oldRoot);
mount({ target: '.', flags: MS.SLAVE | MS.REC });
umount('.', MNT.DETACH);
process.chdir('/');`,
        diagnosis: 'still open',
      },
    ],
  },
  {
    gap: '05.3',
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
    gap: '05.4',
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
    gap: '05.5',
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
];

/** Rethrows what is not the learner's answer; gives the error back when it is. */
function answer(error: unknown): Error & { syscall?: string } {
  if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
  return error;
}

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

function checkOpenInRoot(t: Trial): void {
  const [root, outside] = [t.folder(), t.folder()];
  const [victim, inside] = [t.word(), t.word()];
  writeFileSync(join(outside, victim), 'outside');
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc', inside), '');
  symlinkSync(outside, join(root, 'out'));
  symlinkSync('/etc', join(root, 'absolute'));
  const fd = openSync(root, O_PATH | constants.O_DIRECTORY);
  t.cleanup(() => closeSync(fd));
  /** Where an opened path really lies, or why it was not opened. */
  const open = (path: string, noSymlinks = false): { at: string; cloexec: boolean } => {
    let opened: number;
    try {
      opened = openInRoot(fd, path, { noSymlinks });
    } catch (error) {
      const { code, message } = answer(error) as Error & { code?: string };
      return { at: code ?? message, cloexec: true };
    }
    try {
      const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${opened}`, 'utf8'))?.[1];
      const at = readlinkSync(`/proc/self/fd/${opened}`);
      return { at, cloexec: (parseInt(flags ?? '0', 8) & 0o2000000) !== 0 };
    } finally {
      closeSync(opened);
    }
  };
  // The negative: a path that is only joined to the root does lead out.
  expectThat(existsSync(join(root, 'out', victim)), 'a link that leads out', 'none', '');
  const plain = open(`etc/${inside}`);
  expectSame(
    `opening etc/${inside}`,
    join(root, 'etc', inside),
    plain.at,
    plain.at === 'EINVAL'
      ? 'EINVAL: openat2 wants the mode to be 0 where no file is made. resolve is the third number of open_how, at byte 16.'
      : 'It lies in the root, and should be opened.',
  );
  for (const path of [`..${outside}/${victim}`, `${outside}/${victim}`])
    expectSame(
      `opening ${path}`,
      'ENOENT',
      open(path).at,
      'The path itself led out: for openat2 the descriptor is the root only with RESOLVE.IN_ROOT.',
    );
  expectSame(
    `opening out/${victim}`,
    'ENOENT',
    open(`out/${victim}`).at,
    'a link of the image led out. Looking at the path does not help: give the kernel RESOLVE.IN_ROOT, and let it walk.',
  );
  expectSame(
    'a link to /etc, followed inside',
    join(root, 'etc', inside),
    open(`absolute/${inside}`).at,
    'An absolute link begins at the root that was given.',
  );
  expectSame('the empty path', root, open('').at, 'The empty path is the root itself: give openat2 a ".".');
  expectSame(
    'a link on the way, with noSymlinks',
    'ELOOP',
    open(`absolute/${inside}`, true).at,
    'With noSymlinks no link may be followed: RESOLVE.NO_SYMLINKS.',
  );
  expectThat(
    plain.cloexec,
    'a descriptor that closes on exec',
    'one that the container’s program inherits',
    'A descriptor of the host that a container inherits leads out of it (CVE-2024-21626): O_CLOEXEC.',
  );
}

function checkEnterRoot(t: Trial): void {
  const [root, shared, word] = [t.folder(), t.folder(), t.word()];
  writeFileSync(join(root, word), '');
  mkdirSync(join(root, 'proc'));
  // Two mounts of the "host", one in the other, shared as systemd's are: what the container does must not reach them.
  mount({ source: 'tmpfs', target: shared, type: 'tmpfs' });
  t.cleanup(() => umount(shared, MNT.DETACH));
  mount({ target: shared, flags: MS.SHARED });
  mkdirSync(join(shared, word));
  mount({ source: 'tmpfs', target: join(shared, word), type: 'tmpfs' });
  const before = mountPoints('self');
  let child;
  try {
    child = inChild(t, () => {
      const held = openDescriptors();
      unshare(CLONE.NEWNS);
      const fd = prepareRoot(root, 'shared');
      const points = mountPoints('self');
      enterRoot(fd);
      closeSync(fd);
      mount({ source: 'proc', target: '/proc', type: 'proc' });
      return { points, names: readdirSync('/').sort(), leaked: openDescriptors() - held };
    });
  } catch (error) {
    const { message } = answer(error);
    throw new Wrong({
      expected: 'the root to be changed',
      observed: message,
      cause: 'See pivot_root(2) for this error: go to the new root by fchdir(rootFd) first.',
    });
  }
  const { pid, result } = child;
  expectThat(result.points.includes(shared), 'the host’s mounts before', result.points, '');
  expectSame('what lies in /', [word, 'proc'].sort(), result.names, 'The root is not the one of rootFd.');
  expectSame(
    'the mounts that are left',
    ['/', '/proc'],
    mountPoints(pid),
    'The old root is still mounted: umount(".", MNT.DETACH), in the old root.',
  );
  expectSame(
    'what lies at the root of the mount namespace',
    result.names,
    rootOfNamespace(t, pid),
    'chroot changes what "/" means for one process, and leaves the host’s mounts in the namespace for whoever joins it. Swap them: pivotRoot.',
  );
  expectSame(
    'the host’s mounts',
    before,
    mountPoints('self'),
    'Unmounting the old root spread to the host’s namespace: make it MS.SLAVE | MS.REC before.',
  );
  const place = ({ dev, ino }: { dev: number; ino: number }): string => `device ${dev}, inode ${ino}`;
  expectSame(
    'the place where the process is',
    place(statSync(`/proc/${pid}/root`)),
    place(statSync(`/proc/${pid}/cwd`)),
    'The working directory is still the old root, unmounted or not: from there ".." leads through the host. chdir("/").',
  );
  expectSame(
    'descriptors left open',
    0,
    result.leaked,
    'The old root is still open: who holds the descriptor can fchdir to the host. Close it.',
  );
}

const mountPoints = (pid: number | 'self'): string[] =>
  readMountinfo(pid)!.map(({ mountPoint }) => mountPoint);

/** What lies at the root of a mount namespace for someone who joins it: setns leaves every chroot behind. */
function rootOfNamespace(t: Trial, pid: number): string[] {
  return inChild(t, () => {
    setns(openSync(namespacePath(pid, 'mnt'), 'r'), CLONE.NEWNS);
    return readdirSync('/').sort();
  }).result;
}

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
    const gap = '05.5 enterNamespaces';
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
