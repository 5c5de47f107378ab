import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { demo, execve, fork, getpid, waitpid, type Step } from '../01-processes/index.ts';
import { ask, makeRoot, output, parked, type Parked } from './demo-support.ts';
import { escapeFromChroot } from './escape.ts';
import {
  chroot,
  CLONE,
  connectToBridge,
  createBridge,
  disconnectFromBridge,
  enterRoot,
  joinNamespaces,
  listRuleset,
  masquerade,
  mount,
  namespaceId,
  namespaceIds,
  namespacePath,
  NAMESPACES,
  pinNamespace,
  removeBridge,
  removeMasquerade,
  runTool,
  setgid,
  sethostname,
  setuid,
  unpinNamespace,
  unshare,
  withNetworkNamespace,
  writeIdMaps,
  writeTimeOffsets,
  type NamespaceKind,
} from './index.ts';

/** What is made on the machine has a name of this run alone. */
const tag = Math.random().toString(36).slice(2, 7).padEnd(5, '0');
const octet = (): number => 1 + Math.floor(Math.random() * 250);

const BUSYBOX = '/bin/busybox';
const kinds = Object.keys(NAMESPACES) as NamespaceKind[];

await demo('02 namespaces: what a process can see', async (d) => {
  await d.step('Without isolation', {
    why: 'A child sees what its parent sees: it is in the same namespaces.',
    run: together,
  });
  await d.step('A host name of its own', {
    why: 'unshare(2) puts the caller into a new namespace of one kind. UTS is the smallest: two names.',
    run: names,
  });
  await d.step('Process 1', {
    why: 'A pid namespace counts from 1 again, and its first process is its init. Outside the process has an ordinary number.',
    run: processOne,
  });
  await d.step('All eight at once', {
    why: 'clone(2) takes the flags too: the child is in the new namespaces from its first instruction.',
    run: allEight,
  });
  await d.step('A file system of its own', {
    why: 'A mount namespace is a list of mounts. pivot_root(2) changes its root; then the old one is taken away.',
    run: ownRoot,
  });
  await d.step('Root inside, nobody outside', {
    why: 'A user namespace maps ids: 0 inside is an ordinary id outside, and its rights end at the border.',
    run: rootless,
  });
  await d.step('A door that stays', {
    why: 'A namespace lives while a process is in it, a descriptor is open on it, or its file is bound elsewhere.',
    run: pinned,
  });
  await d.step('Two networks and a bridge', {
    why: 'A new network namespace has nothing but a loopback that is down. A veth pair is a cable, a bridge a switch.',
    run: network,
  });
  await d.step('Attack: out of chroot', {
    why: 'chroot(2) changes where / is. It takes nothing away, and root walks out.',
    run: attack,
  });
});

function together(s: Step): void {
  const [host, child] = [namespaceIds('self'), ask(() => namespaceIds('self'))];
  s.call('fork()', 'a child');
  s.evidence('uts and pid namespace', {
    host: `${host.uts} ${host.pid}`,
    child: `${child.uts} ${child.pid}`,
  });
  s.claim(
    'all eight namespaces are shared',
    kinds.every((kind) => host[kind] === child[kind]),
  );
}

function names(s: Step): void {
  const before = hostname();
  const name = `box-${tag}`;
  const inside = ask(() => {
    unshare(CLONE.NEWUTS);
    sethostname(name);
    return { id: namespaceId('self', 'uts'), name: hostname() };
  });
  s.call('unshare(CLONE_NEWUTS)', 0);
  s.call(`sethostname("${name}")`, 0);
  s.evidence('uts namespace and host name', {
    host: `${namespaceId('self', 'uts')} ${hostname()}`,
    child: `${inside.id} ${inside.name}`,
  });
  s.claim('the child is in another uts namespace', inside.id !== namespaceId('self', 'uts'));
  s.claim('the child has the new name, the host the old one', inside.name === name && hostname() === before);
}

function processOne(s: Step): void {
  const without = ask(() => {
    const before = getpid();
    unshare(CLONE.NEWPID);
    return { before, after: getpid() };
  });
  s.call('unshare(CLONE_NEWPID)', 0);
  s.claim(
    'unshare alone changes nothing for the caller: its children will be inside',
    without.before === without.after,
  );
  const seen = ask(() => {
    unshare(CLONE.NEWPID);
    const outside = fork(() => (getpid() === 1 ? 42 : 1));
    return { outside, status: waitpid(outside) };
  });
  s.call('unshare(CLONE_NEWPID), fork()', seen.outside);
  s.evidence('one process, two numbers', { host: seen.outside, inside: 1 });
  s.claim('the child says that it is process 1', seen.status.kind === 'exited' && seen.status.code === 42);
}

function allEight(s: Step): void {
  const flags = kinds.reduce((all, kind) => all | NAMESPACES[kind].flag, 0);
  const child = parked(() => undefined, flags);
  s.cleanup(`end process ${child.pid}`, child.end);
  s.call('clone3({ flags: CLONE_NEWUSER|…|CLONE_NEWNS })', child.pid);
  const [host, inside] = [namespaceIds('self'), namespaceIds(child.pid)];
  for (const kind of kinds)
    s.evidence(`${kind}: ${NAMESPACES[kind].isolates}`, { host: host[kind], container: inside[kind] });
  s.claim(
    'not one is shared',
    kinds.every((kind) => host[kind] !== undefined && host[kind] !== inside[kind]),
  );
  const ahead = ask(() => {
    unshare(CLONE.NEWTIME);
    writeTimeOffsets('self', { boottime: 1_000_000 });
    return ask(uptime); // a child of the child: time is for the children of who unshared it
  });
  s.evidence('time since boot, boottime set ahead by 1000000 s', {
    host: `${uptime()} s`,
    container: `${ahead} s`,
  });
  s.claim('the clock inside is ahead', ahead - uptime() > 999_000);
}

function ownRoot(s: Step): void {
  const { dir, root, remove } = makeRoot();
  s.cleanup(`remove ${dir}`, remove);
  writeFileSync(join(root, 'hello'), 'from the image\n');
  const text = output(CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWUTS, () => {
    enterRoot(root);
    mount({ source: 'proc', target: '/proc', type: 'proc' });
    sethostname('box');
    execve(BUSYBOX, ['sh', '-c', 'hostname; ls /; ps -o pid,comm; mount'], ['PATH=/bin']);
  });
  s.call('clone3({ flags: CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWUTS })', 'a child');
  s.call(`mount(NULL, "/", NULL, MS_REC|MS_PRIVATE)`, 0);
  s.call(`mount("${root}", "${root}", NULL, MS_BIND|MS_REC)`, 0);
  s.call('pivot_root(".", ".")', 0);
  s.call('umount2(".", MNT_DETACH)', 0);
  s.call('execve("/bin/busybox", …)', 'the output below');
  s.evidence('sh -c "hostname; ls /; ps; mount"', { inside: `\n${text}` });
  const lines = text.split('\n');
  s.claim('the root holds what the directory held', lines.includes('hello') && !lines.includes('usr'));
  s.claim(
    'two mounts are left: the root and /proc',
    lines.filter((line) => line.includes(' on /')).length === 2,
  );
  s.claim(
    'ps shows the processes of this namespace alone',
    text.match(/^ +\d+ (busybox|sh|ps)$/gm)?.length === 2,
  );
  s.claim(
    'nothing of it is mounted on the host',
    !readFileSync('/proc/self/mountinfo', 'utf8').includes(dir),
  );
}

function rootless(s: Step): void {
  const { dir, root, remove } = makeRoot();
  s.cleanup(`remove ${dir}`, remove);
  const hostID = 100_000 + octet() * 65_536;
  spawnSync('chown', [`${hostID}:${hostID}`, join(root, 'tmp')]);
  const range = { containerID: 0, hostID, size: 65_536 };
  const file = join(root, 'tmp', 'made-inside');
  const secret = join(dir, 'secret');
  writeFileSync(secret, 'of root, outside', { mode: 0o600 });
  const child: Parked = parked(() => unshare(CLONE.NEWUSER));
  s.cleanup(`end process ${child.pid}`, child.end);
  s.call('unshare(CLONE_NEWUSER)', 0);
  const before = ask(() => {
    joinNamespaces({ user: namespacePath(child.pid, 'user') });
    return process.getuid!();
  });
  s.claim('without a map everybody inside is nobody (65534)', before === 65_534);
  writeIdMaps(child.pid, { uid: [range], gid: [range] });
  s.call(`write /proc/${child.pid}/uid_map "0 ${hostID} 65536"`, 'once, from outside');
  const inside = ask(() => {
    joinNamespaces({ user: namespacePath(child.pid, 'user') });
    setgid(0);
    setuid(0);
    writeFileSync(file, '');
    return { uid: process.getuid!(), secret: statSync(secret).uid, denied: !canRead(secret) };
  });
  s.evidence('owner of a file made inside', { inside: inside.uid, host: statSync(file).uid });
  s.evidence('owner of a file of the host’s root', { inside: inside.secret, host: statSync(secret).uid });
  s.claim('root inside, an ordinary id outside', inside.uid === 0 && statSync(file).uid === hostID);
  s.claim('root inside may not read what root outside owns', inside.denied);
}

function pinned(s: Step): void {
  const { dir, remove } = makeRoot();
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
  const joined = ask(() => {
    joinNamespaces({ uts: file });
    return { id: namespaceId('self', 'uts'), name: hostname() };
  });
  s.call(`setns(open("${file}"), CLONE_NEWUTS)`, 0);
  s.evidence('uts namespace', { 'of the ended process': id, 'of who joined': `${joined.id} ${joined.name}` });
  s.claim('the namespace was still there', joined.id === id && joined.name === name);
}

function network(s: Step): void {
  const bridge = `d2${tag}`;
  const prefix = `10.${octet()}.${octet()}`;
  const [a, b] = [parked(() => unshare(CLONE.NEWNET)), parked(() => unshare(CLONE.NEWNET))];
  s.cleanup(`end processes ${a.pid} and ${b.pid}`, () => [a, b].forEach(({ end }) => end()));
  const ping = (from: Parked, to: string): boolean =>
    withNetworkNamespace(
      namespacePath(from.pid, 'net'),
      () => spawnSync('busybox', ['ping', '-c1', '-W1', to]).status === 0,
    );
  s.evidence('interfaces of a new network namespace', { container: inside(a, ['-br', 'link']) });
  s.claim('it does not even reach itself', !ping(a, '127.0.0.1'));

  createBridge({ name: bridge, address: `${prefix}.1/24` });
  s.cleanup(`remove bridge ${bridge}`, () => removeBridge(bridge));
  s.call(`ip link add name ${bridge} type bridge; ip address add ${prefix}.1/24 dev ${bridge}`, 'up');
  [a, b].forEach(({ pid }, i) => {
    const [hostName, address] = [`${bridge}${'ab'[i]}`, `${prefix}.${i + 2}/24`];
    connectToBridge({ bridge, pid, hostName, ifName: 'eth0', address, gateway: `${prefix}.1` });
    s.cleanup(`remove ${hostName}`, () => disconnectFromBridge(hostName));
    s.call(
      `ip link add name ${hostName} type veth peer name eth0 netns ${pid}`,
      `${address}, default via ${prefix}.1`,
    );
  });
  s.evidence('addresses', {
    host: runTool('ip', ['-br', 'address', 'show', 'dev', bridge]).trim(),
    a: inside(a, ['-br', 'address', 'show', 'dev', 'eth0']),
    b: inside(b, ['-br', 'address', 'show', 'dev', 'eth0']),
  });
  s.claim('a reaches b over the bridge', ping(a, `${prefix}.3`));
  s.claim('b reaches the host by the gateway', ping(b, `${prefix}.1`));
  s.claim(
    'their addresses are on no interface of the host',
    !runTool('ip', ['-br', 'address']).includes(`${prefix}.2/24`),
  );

  const forward = (): string => readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim();
  const before = forward();
  masquerade({ table: bridge, subnet: `${prefix}.0/24`, bridge });
  s.cleanup(`remove nft table ${bridge}`, () => removeMasquerade({ table: bridge }));
  s.call(
    `nft add rule ip ${bridge} postrouting ip saddr ${prefix}.0/24 oifname != "${bridge}" masquerade`,
    'ok',
  );
  s.evidence('ip_forward', { before, now: forward() });
  s.claim(
    'the host forwards for them',
    forward() === '1' && listRuleset().chains.some(({ table }) => table === bridge),
  );
}

function inside(who: Parked, args: string[]): string {
  return withNetworkNamespace(namespacePath(who.pid, 'net'), () => runTool('ip', args)).trim();
}

function attack(s: Step): void {
  const { dir, root, remove } = makeRoot();
  s.cleanup(`remove ${dir}`, remove);
  const secret = join(dir, 'secret');
  writeFileSync(secret, `of the host, ${tag}`);
  const jailed = ask(() => {
    chroot(root);
    process.chdir('/');
    const hidden = !existsSync(secret);
    const names = escapeFromChroot();
    return { hidden, names, secret: canRead(secret) };
  });
  s.call(`chroot("${root}")`, 0);
  s.call('mkdir("/tmp/jail"), chroot("/tmp/jail"), 64 × chdir(".."), chroot(".")', 0);
  s.evidence('after chroot and the walk', {
    '/': jailed.names.join(' '),
    secret: jailed.secret ? 'read' : 'not there',
  });
  s.claim('chroot hid the secret, and the attack reached it', jailed.hidden && jailed.secret);
  const closed = ask(() => {
    enterRoot(root);
    const names = escapeFromChroot();
    return { names, secret: canRead(secret) };
  }, CLONE.NEWNS);
  s.call('pivot_root(".", "."), umount2(".", MNT_DETACH); then the same walk', 0);
  s.evidence('after pivot_root and the walk', {
    '/': closed.names.join(' '),
    secret: closed.secret ? 'read' : 'not there',
  });
  s.claim(
    'with pivot_root there is no way up: nothing above is mounted',
    !closed.secret && closed.names.includes('proc'),
  );
}

function uptime(): number {
  return Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
}

function canRead(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}
