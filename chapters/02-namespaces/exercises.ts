import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  expectSame,
  expectThat,
  inChild,
  isErrno,
  readMountinfo,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { createBridge, removeBridge } from './bridge.ts';
import { writeIdMaps } from './idmaps.ts';
import { mount, MS, umount, MNT } from './mount.ts';
import { CLONE, joinNamespaces, namespaceId, namespacePath, setns, unshare } from './namespaces.ts';
import { withNetworkNamespace } from './netns.ts';
import { enterRoot } from './pivot-root.ts';
import { connectToBridge } from './veth.ts';

export const exercises: readonly Exercise[] = [
  {
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
  },
  {
    gap: '02.2',
    task: 'Write the id maps of a new user namespace.',
    hints: [
      'Until its maps are written, nobody inside is anybody: every id is 65534. Each map can be written once.',
      'user_namespaces(7): /proc/PID/uid_map, /proc/PID/gid_map and /proc/PID/setgroups. One of the three has to come before another.',
      'writeProc(pid, "uid_map", formatRanges(maps.uid)); setgroups, if it is given; then gid_map.',
    ],
    check: checkIdMaps,
    wrong: [
      {
        mistake: 'forgets the groups',
        code: `writeProc(pid, 'uid_map', formatRanges(maps.uid));
if (maps.setgroups !== undefined) writeProc(pid, 'setgroups', maps.setgroups);`,
        diagnosis: 'gid_map was not written',
      },
      {
        mistake: 'denies setgroups too late',
        code: `writeProc(pid, 'uid_map', formatRanges(maps.uid));
writeProc(pid, 'gid_map', formatRanges(maps.gid));
if (maps.setgroups !== undefined) writeProc(pid, 'setgroups', maps.setgroups);`,
        diagnosis: 'before gid_map',
      },
      {
        mistake: 'hard-codes the ranges of the example',
        code: `writeProc(pid, 'uid_map', '0 100000 65536\\n');
if (maps.setgroups !== undefined) writeProc(pid, 'setgroups', maps.setgroups);
writeProc(pid, 'gid_map', '0 100000 65536\\n');`,
        diagnosis: 'the ranges that were given',
      },
    ],
  },
  {
    gap: '02.3',
    task: 'Give this mount namespace a new root, and take the old one away.',
    hints: [
      'pivot_root(2) swaps two mounts: the new root must be a mount point, and neither may be shared.',
      'The section "pivot_root(".", ".")" of the manual shows how it is done without a directory for the old root: both lie in one place, the old one on top.',
      'mount / private, recursively; bind newRoot onto itself; open "/"; chdir(newRoot); pivotRoot(".", "."); fchdir(the old root); umount(".", MNT.DETACH); chdir("/").',
    ],
    check: checkEnterRoot,
    wrong: [
      {
        mistake: 'forgets MS_PRIVATE',
        code: `mount({ source: newRoot, target: newRoot, flags: MS.BIND | MS.REC });
const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
process.chdir(newRoot);
pivotRoot('.', '.');
fchdir(oldRoot);
umount('.', MNT.DETACH);
process.chdir('/');
closeSync(oldRoot);`,
        diagnosis: 'MS_PRIVATE',
      },
      {
        mistake: 'leaves the old root mounted',
        code: `mount({ target: '/', flags: MS.REC | MS.PRIVATE });
mount({ source: newRoot, target: newRoot, flags: MS.BIND | MS.REC });
process.chdir(newRoot);
pivotRoot('.', '.');
process.chdir('/');`,
        diagnosis: 'still mounted',
      },
      {
        mistake: 'uses chroot',
        code: `mount({ target: '/', flags: MS.REC | MS.PRIVATE });
mount({ source: newRoot, target: newRoot, flags: MS.BIND | MS.REC });
chroot(newRoot);
process.chdir('/');`,
        diagnosis: 'chroot',
      },
      {
        mistake: 'does not make the new root a mount point',
        code: `mount({ target: '/', flags: MS.REC | MS.PRIVATE });
const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
process.chdir(newRoot);
pivotRoot('.', '.');
fchdir(oldRoot);
umount('.', MNT.DETACH);
process.chdir('/');
closeSync(oldRoot);`,
        diagnosis: 'mount point',
      },
    ],
  },
  {
    gap: '02.4',
    task: 'Run a function in another network namespace, and come back.',
    hints: [
      'setns moves this thread. To come back there must be something left of where it came from.',
      'A descriptor of /proc/self/ns/net, opened before, is the way home. It must be taken also when the function throws.',
      'home = openSync(own); there = openSync(path); setns(there, CLONE.NEWNET); close it; try { return fn() } finally { setns(home, CLONE.NEWNET) }; close home.',
    ],
    check: checkWithNetwork,
    wrong: [
      {
        mistake: 'does not come back',
        code: `const there = openSync(path, 'r');
setns(there, CLONE.NEWNET);
closeSync(there);
return fn();`,
        diagnosis: 'did not come back',
      },
      {
        mistake: 'does not come back when the function throws',
        code: `const home = openSync(namespacePath('self', 'net'), 'r');
const there = openSync(path, 'r');
setns(there, CLONE.NEWNET);
const result = fn();
setns(home, CLONE.NEWNET);
closeSync(there);
closeSync(home);
return result;`,
        diagnosis: 'finally',
      },
      {
        mistake: 'keeps the descriptors open',
        code: `const home = openSync(namespacePath('self', 'net'), 'r');
setns(openSync(path, 'r'), CLONE.NEWNET);
try {
  return fn();
} finally {
  setns(home, CLONE.NEWNET);
}`,
        diagnosis: 'keeps the namespace alive',
      },
    ],
  },
  {
    gap: '02.5',
    task: 'Connect a network namespace to a bridge with a veth pair.',
    hints: [
      'A veth pair is a cable with two ends. One end is plugged into the bridge, the other lies in the namespace.',
      'ip-link(8): "type veth peer name … netns …" makes the far end where it belongs. What is inside is configured inside: withNetworkNamespace.',
      'ip link add; ip link set … master BRIDGE up; inside: lo up, address add, IFNAME up, route add default via GATEWAY. When a step fails, disconnectFromBridge(hostName).',
    ],
    check: checkConnect,
    wrong: [
      {
        mistake: 'forgets to plug it into the bridge',
        code: `runTool('ip', ['link', 'add', 'name', hostName, 'type', 'veth', 'peer', 'name', ifName, 'address', mac, 'netns', path]);
runTool('ip', ['link', 'set', 'dev', hostName, 'up']);
withNetworkNamespace(path, () => {
  runTool('ip', ['link', 'set', 'dev', 'lo', 'up']);
  runTool('ip', ['address', 'add', address, 'dev', ifName]);
  runTool('ip', ['link', 'set', 'dev', ifName, 'up']);
  if (gateway !== undefined) runTool('ip', ['route', 'add', 'default', 'via', gateway, 'dev', ifName]);
});`,
        diagnosis: 'not plugged into the bridge',
      },
      {
        mistake: 'leaves loopback down',
        code: `runTool('ip', ['link', 'add', 'name', hostName, 'type', 'veth', 'peer', 'name', ifName, 'address', mac, 'netns', path]);
runTool('ip', ['link', 'set', 'dev', hostName, 'master', bridge, 'up']);
withNetworkNamespace(path, () => {
  runTool('ip', ['address', 'add', address, 'dev', ifName]);
  runTool('ip', ['link', 'set', 'dev', ifName, 'up']);
  if (gateway !== undefined) runTool('ip', ['route', 'add', 'default', 'via', gateway, 'dev', ifName]);
});`,
        diagnosis: 'loopback',
      },
      {
        mistake: 'leaves half a cable when a step fails',
        code: `runTool('ip', ['link', 'add', 'name', hostName, 'type', 'veth', 'peer', 'name', ifName, 'address', mac, 'netns', path]);
runTool('ip', ['link', 'set', 'dev', hostName, 'master', bridge, 'up']);
withNetworkNamespace(path, () => {
  runTool('ip', ['link', 'set', 'dev', 'lo', 'up']);
  runTool('ip', ['address', 'add', address, 'dev', ifName]);
  runTool('ip', ['link', 'set', 'dev', ifName, 'up']);
  if (gateway !== undefined) runTool('ip', ['route', 'add', 'default', 'via', gateway, 'dev', ifName]);
});`,
        diagnosis: 'nothing of it may be left',
      },
    ],
  },
];

/** A process of util-linux's in new namespaces, for as long as the check runs. */
async function strangerIn(t: Trial, ...flags: string[]): Promise<number> {
  const child = spawn('unshare', [...flags, 'sleep', '1000'], { stdio: 'ignore' });
  t.cleanup(() => void child.kill('SIGKILL'));
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  for (;;) {
    // unshare has become sleep once it is in its namespaces.
    if (readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'sleep\n') return child.pid!;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

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

function checkIdMaps(t: Trial): void {
  const range = {
    containerID: t.number(0, 9),
    hostID: t.number(100_000, 900_000),
    size: t.number(2, 60_000),
  };
  const groups = { ...range, hostID: range.hostID + t.number(1, 50) };
  const { pid } = inChild(t, () => unshare(CLONE.NEWUSER));
  const map = (file: string): string =>
    readFileSync(`/proc/${pid}/${file}`, 'utf8').trim().replace(/\s+/g, ' ');
  expectSame('the map of a new namespace', '', map('uid_map'), '');
  try {
    writeIdMaps(pid, { uid: [range], gid: [groups], setgroups: 'deny' });
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    const cause = 'EPERM: setgroups can be denied only before gid_map is written.';
    throw new Wrong({ expected: 'the maps to be written', observed: error.message, cause });
  }
  const line = (r: typeof range): string => `${r.containerID} ${r.hostID} ${r.size}`;
  expectThat(
    map('gid_map') !== '',
    'a map of groups',
    'an empty /proc/PID/gid_map',
    'gid_map was not written.',
  );
  expectSame('uid_map', line(range), map('uid_map'), 'Write the ranges that were given, with formatRanges.');
  expectSame(
    'gid_map',
    line(groups),
    map('gid_map'),
    'Groups have ranges of their own: the ranges that were given as gid.',
  );
  expectSame('setgroups', 'deny', map('setgroups'), 'setgroups was not written.');
}

function checkEnterRoot(t: Trial): void {
  const root = t.folder();
  const word = t.word();
  writeFileSync(join(root, word), '');
  mkdirSync(join(root, 'proc'));
  // A shared mount below, as systemd's are: what happens in the new namespace must not reach it.
  const shared = t.folder();
  mount({ source: shared, target: shared, flags: MS.BIND });
  t.cleanup(() => umount(shared, MNT.DETACH));
  mount({ target: '/', flags: MS.REC | MS.SHARED });
  const before = mountPoints();
  let child;
  try {
    child = inChild(t, () => {
      unshare(CLONE.NEWNS);
      enterRoot(root);
      mount({ source: 'proc', target: '/proc', type: 'proc' });
      return { root: readdirSync('/').sort(), cwd: process.cwd() };
    });
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    const shares = !mountinfoOfShared(root) && isErrno(error, 'EINVAL', 'EBUSY');
    const privateFirst = /pivot_root/.test(error.message) && before.length !== mountPoints().length;
    const cause = privateFirst
      ? 'pivot_root refuses a shared mount, and your bind mount reached the host: make everything private first (MS_REC | MS_PRIVATE).'
      : shares || /pivot_root/.test(error.message)
        ? 'pivot_root says EINVAL or EBUSY when the new root is no mount point of its own: bind it onto itself.'
        : 'See pivot_root(2) for this error.';
    throw new Wrong({ expected: 'the root to be changed', observed: error.message, cause });
  }
  expectSame(
    'what lies in the new root',
    [word, 'proc'].sort(),
    child.result.root,
    'The root is not the directory that was given.',
  );
  const mounts = readMountinfo(child.pid)!.map((m) => m.mountPoint);
  const outside = mounts.filter((path) => !['/', '/proc'].includes(path));
  expectSame(
    'mounts that can be reached',
    [],
    outside,
    'The old root is still mounted, and reachable: unmount it with MNT_DETACH.',
  );
  expectThat(
    mounts.filter((path) => path === '/').length === 1,
    'one mount at /',
    `${mounts.filter((p) => p === '/').length}`,
    'The old root is still mounted, on top of the new one: umount(".", MNT.DETACH).',
  );
  expectSame(
    'what lies at the root of the mount namespace',
    child.result.root,
    rootOfNamespace(t, child.pid),
    'chroot changes what "/" means for one process and leaves every mount where it is: whoever joins the namespace sees the host. pivot_root changes the namespace.',
  );
  expectSame(
    'the host’s mounts',
    before,
    mountPoints(),
    'Your mounts reached the host: make everything private first (MS_REC | MS_PRIVATE).',
  );
}

const mountPoints = (): string[] => readMountinfo('self')!.map((m) => m.mountPoint);
const mountinfoOfShared = (path: string): boolean =>
  readMountinfo('self')!.some((m) => m.mountPoint === path);

/** What lies at the root of a mount namespace for someone who joins it: setns leaves every chroot behind. */
function rootOfNamespace(t: Trial, pid: number): string[] {
  const join = (): string[] => {
    const fd = openSync(namespacePath(pid, 'mnt'), 'r');
    setns(fd, CLONE.NEWNS);
    return readdirSync('/').sort();
  };
  return inChild(t, join).result;
}

async function checkWithNetwork(t: Trial): Promise<void> {
  const stranger = await strangerIn(t, '--net');
  const path = namespacePath(stranger, 'net');
  const home = namespaceId('self', 'net');
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  const { result } = inChild(t, () => {
    const there = withNetworkNamespace(path, () => namespaceId('self', 'net'));
    const after = namespaceId('self', 'net');
    let thrown = '';
    try {
      if (after === home)
        withNetworkNamespace(path, () => {
          throw new Error('thrown inside');
        });
    } catch (error) {
      thrown = error instanceof Error ? error.message : '';
    }
    return { there, after, thrown, afterThrow: namespaceId('self', 'net'), open: open() };
  });
  expectSame(
    'the namespace inside the function',
    namespaceId(stranger, 'net'),
    result.there,
    'The function runs after setns into the namespace of the path.',
  );
  expectSame(
    'the namespace afterwards',
    home,
    result.after,
    'The thread did not come back: keep a descriptor of its own namespace, and setns to it.',
  );
  expectSame(
    'what the function threw',
    'thrown inside',
    result.thrown,
    'What the function throws must reach the caller.',
  );
  expectSame(
    'the namespace after the function threw',
    home,
    result.afterThrow,
    'When the function throws, the way home must be taken too: finally.',
  );
  expectThat(
    result.open <= before + 4 && !leaks(path),
    'every descriptor closed',
    'descriptors left open',
    'An open descriptor keeps the namespace alive: close both.',
  );

  function leaks(target: string): boolean {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const least = count();
    for (let i = 0; i < 5; i++) withNetworkNamespace(target, () => undefined);
    return count() > least;
  }
}

async function checkConnect(t: Trial): Promise<void> {
  // The bridge and its cable live in a network namespace of the check's own.
  const stranger = await strangerIn(t, '--net');
  const bridge = `b${t.word()}`;
  const hostName = `v${t.word()}`;
  const [a, b] = [t.number(64, 250), t.number(1, 250)];
  const gateway = `10.${a}.${b}.1`;
  const address = `10.${a}.${b}.${t.number(2, 250)}/24`;
  const { result } = inChild(t, () => {
    unshare(CLONE.NEWNET);
    createBridge({ name: bridge, address: `${gateway}/24` });
    const connection = { bridge, hostName, ifName: 'eth0', address, gateway, pid: stranger };
    connectToBridge(connection);
    const run = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
    const seen = {
      outside: run('-o', 'link', 'show', 'dev', hostName),
      inside: withNetworkNamespace(
        namespacePath(stranger, 'net'),
        () => `${run('-o', 'address')}${run('route')}`,
      ),
      reached: '',
      left: '',
    };
    try {
      withNetworkNamespace(namespacePath(stranger, 'net'), () =>
        execFileSync('busybox', ['ping', '-c', '1', '-W', '2', gateway], { stdio: 'pipe' }),
      );
      seen.reached = 'yes';
    } catch {
      seen.reached = 'no';
    }
    try {
      // The same address and the same name inside: it must fail, and leave nothing.
      connectToBridge({
        ...connection,
        hostName: `${hostName.slice(0, 8)}2`,
        ifName: 'eth1',
        gateway: '192.0.2.77',
      });
    } catch {
      seen.left = existsSync(`/sys/class/net`)
        ? run('-o', 'link').includes(`${hostName.slice(0, 8)}2`)
          ? 'left'
          : ''
        : '';
    }
    removeBridge(bridge);
    return seen;
  });
  expectThat(
    result.outside.includes(`master ${bridge}`),
    `${hostName} in ${bridge}`,
    result.outside.trim(),
    'The host’s end is not plugged into the bridge: ip link set dev … master.',
  );
  expectThat(
    result.inside.includes(address),
    `eth0 with ${address}`,
    result.inside,
    'The end inside has no address: ip address add, inside.',
  );
  expectThat(
    /\blo\b.*127\.0\.0\.1/.test(result.inside),
    '127.0.0.1 on lo',
    result.inside,
    'In a new network namespace even loopback is down: ip link set dev lo up.',
  );
  expectThat(
    result.inside.includes(`default via ${gateway}`),
    `a default route by ${gateway}`,
    result.inside,
    'There is no default route: ip route add default via the gateway.',
  );
  expectSame(
    'the gateway answers a ping from inside',
    'yes',
    result.reached,
    'Both ends and the bridge must be up.',
  );
  expectSame(
    'links left after a connection that failed',
    '',
    result.left,
    'When a step fails, nothing of it may be left: disconnectFromBridge, and throw on.',
  );
}
