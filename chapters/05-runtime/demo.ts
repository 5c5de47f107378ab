import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import {
  demo,
  execve,
  exitCode,
  fork,
  makeExecutable,
  namespacesOf,
  pipe,
  dup2,
  readCmdline,
  readFds,
  readSmapsRollup,
  readStat,
  readStatus,
  waitpid,
  type Step,
} from '../01-processes/index.ts';
import { findBusybox } from '../04-overlayfs/index.ts';
import { byPodman, waitUntil, withoutRoot } from './demo-callers.ts';
import { defaultSpec, type OciSpec } from './index.ts';

await demo('05 runtime: from a bundle to a container', async (d) => {
  const bench = await prepare();
  d.cleanup(`delete containers, remove ${bench.dir}`, bench.remove);

  await d.step('What is to be run', {
    why: 'Chapters 2 to 4 made the parts. Someone has to say which parts a container is to have: that is config.json, and with a root it is a bundle.',
    run: (s) => bundle(s, bench),
  });
  await d.step('create: all but the program', {
    why: 'A container is made before its program begins: so that someone can still connect its network, and look at it.',
    run: (s) => create(s, bench),
  });
  await d.step('start: the same process becomes the program', {
    why: 'The first process has waited at a fifo. It goes on, and execve(2) replaces what it was. The runtime is gone.',
    run: (s) => start(s, bench),
  });
  await d.step('What the program sees', {
    why: 'exec joins the namespaces of the first process: so it sees what the program sees.',
    run: (s) => look(s, bench),
  });
  await d.step('Rights', {
    why: 'Root in a container is root with a few capabilities, no way to get more, and parts of /proc taken away.',
    run: (s) => rights(s, bench),
  });
  await d.step('kill, delete: nothing is left', {
    why: 'Namespaces and mounts end with the last process in them. The runtime has to remove only the cgroup and its own notes.',
    run: (s) => remove(s, bench),
  });
  await d.step('When it goes wrong', {
    why: 'A command that is not there is found out in the container, at the very end. All that was made until then must go.',
    run: (s) => fail(s, bench),
  });
  await d.step('Attack: the program of the runtime', {
    why: 'A script that begins with #!/proc/self/exe asks the kernel to run whatever runs now. At that moment that is the runtime.',
    run: (s) => attack(s, bench),
  });
  await d.step('Without root', {
    why: 'In a user namespace of its own a process may make all other namespaces, mount, and change its root: so a runtime needs no root.',
    run: (s) => withoutRoot(s, bench),
  });
  await d.step('The same by podman', {
    why: 'Nothing above was for this demo alone: whoever speaks with runc speaks with this runtime.',
    run: (s) => byPodman(s, bench),
  });
});

interface Bench {
  dir: string;
  program: string;
  id: string;
  cgroup: string;
  bundle: string;
  pid: number;
  myrunc(...args: string[]): { status: number | null; out: string };
  remove(): void;
}

async function prepare(): Promise<Bench> {
  const dir = mkdtempSync(join(tmpdir(), 'ch05-demo-'));
  chmodSync(dir, 0o711);
  const program = join(dir, 'myrunc');
  await makeExecutable({
    source: join(import.meta.dirname, 'myrunc.ts'),
    out: program,
    singleThreaded: true,
  });
  const id = `ch05-demo-${dir.slice(-6)}`;
  const log = join(dir, 'log');
  const myrunc = (...args: string[]): { status: number | null; out: string } => {
    // Output goes to a file: a container that stays keeps it open.
    const shell = ['-c', '"$@" > "$0" 2>&1 < /dev/null', log, program, '--root', join(dir, 'state'), ...args];
    const { status } = spawnSync('/bin/sh', shell, { env: { PATH: process.env['PATH'] } });
    return { status, out: readFileSync(log, 'utf8').trim() };
  };
  return {
    dir,
    program,
    id,
    cgroup: `/${id}`,
    bundle: join(dir, 'bundle'),
    pid: 0,
    myrunc,
    remove: () => {
      myrunc('delete', '--force', id);
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function bundle(s: Step, { bundle: path, cgroup, myrunc }: Bench): void {
  const rootfs = join(path, 'rootfs');
  mkdirSync(join(rootfs, 'bin'), { recursive: true });
  copyFileSync(findBusybox(), join(rootfs, 'bin/busybox'));
  for (const name of ['sh', 'sleep', 'ps', 'ls', 'grep', 'id', 'mount', 'cat', 'hostname'])
    symlinkSync('busybox', join(rootfs, 'bin', name));
  s.call('myrunc spec --bundle BUNDLE', myrunc('spec', '--bundle', path).status);
  const spec = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as OciSpec;
  s.evidence('the bundle', {
    'in it': readdirSync(path).join(', '),
    'in rootfs/bin': readdirSync(join(rootfs, 'bin')).join(' '),
  });
  spec.process!.terminal = false;
  spec.process!.args = ['sleep', '1000'];
  spec.linux!.cgroupsPath = cgroup;
  // Not in the default on v1 (spec.ts), but it works there too.
  const namespaces = spec.linux!.namespaces!;
  if (!namespaces.some(({ type }) => type === 'cgroup')) namespaces.push({ type: 'cgroup' });
  spec.linux!.resources = { ...spec.linux!.resources, pids: { limit: 20 } };
  writeFileSync(join(path, 'config.json'), JSON.stringify(spec, null, 2));
  s.evidence('config.json says', {
    'process.args': spec.process!.args.join(' '),
    root: JSON.stringify(spec.root),
    'linux.namespaces': spec.linux!.namespaces!.map(({ type }) => type).join(' '),
    mounts: spec.mounts!.map(({ destination }) => destination).join(' '),
    'linux.cgroupsPath': cgroup,
  });
  s.claim(
    'what myrunc spec writes is what the layer calls the default',
    JSON.stringify(Object.keys(spec)) === JSON.stringify(Object.keys(defaultSpec())),
  );
}

function create(s: Step, bench: Bench): void {
  const pidFile = join(bench.dir, 'pid');
  const { status, out } = bench.myrunc('create', '--bundle', bench.bundle, '--pid-file', pidFile, bench.id);
  s.call('myrunc create --bundle BUNDLE --pid-file FILE ID', status);
  s.claim(`create has ended, with status 0${out && `: ${out}`}`, status === 0);
  const pid = (bench.pid = Number(readFileSync(pidFile, 'utf8')));
  const [its, ours] = [namespacesOf(pid)!, namespacesOf('self')!];
  s.evidence(
    `namespaces of the first process, ${pid}`,
    Object.fromEntries(
      Object.keys(its)
        .filter((kind) => !kind.endsWith('_for_children'))
        .map((kind) => [kind, `${its[kind]}${its[kind] === ours[kind] ? '  the host’s' : ''}`]),
    ),
  );
  s.evidence('that process', {
    program: readlinkSync(`/proc/${pid}/exe`),
    memory: `${readSmapsRollup(pid)!.Pss! / 1024} kB`,
    descriptors: readFds(pid)!
      .sort((a, b) => a.fd - b.fd)
      .map(({ fd, target }) => (fd > 2 ? basename(target) : fd))
      .join(' '),
    'pid inside': readStatus(pid)!.nsPid.at(-1),
    root: readlinkSync(`/proc/${pid}/root`),
    'waits in': waitsIn(pid),
    cgroup: readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n').at(0),
  });
  s.claim(
    'it is in mnt, pid, net, ipc, uts and cgroup namespaces of its own',
    ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'].every((kind) => its[kind] !== ours[kind]),
  );
  s.claim('it is not the runtime any more', readlinkSync(`/proc/${pid}/exe`) !== process.execPath);
  s.claim('it is not the program yet', readCmdline(pid)!.join(' ') !== 'sleep 1000');
  s.claim('state says: created', state(bench).status === 'created');
}

/** The kernel function that a process sleeps in; the kernel may keep it to itself. */
function waitsIn(pid: number): string {
  const name = readFileSync(`/proc/${pid}/wchan`, 'utf8');
  return name && name !== '0' ? `${name} (the kernel's function)` : 'read(2) of exec.fifo';
}

function start(s: Step, bench: Bench): void {
  s.call('myrunc start ID', bench.myrunc('start', bench.id).status);
  waitUntil(() => readCmdline(bench.pid)?.[0] === 'sleep');
  const parent = readStat(bench.pid)!.ppid;
  s.evidence(`process ${bench.pid}`, {
    program: readlinkSync(`/proc/${bench.pid}/exe`),
    arguments: readCmdline(bench.pid)!.join(' '),
    parent: `${parent} (${readStat(parent)!.comm}): not the runtime`,
    descriptors: readFds(bench.pid)!
      .map(({ fd }) => fd)
      .join(' '),
  });
  s.claim('the same process is the program now', readCmdline(bench.pid)!.join(' ') === 'sleep 1000');
  s.claim('it holds no descriptor of ours', readFds(bench.pid)!.length === 3);
  s.claim('no process of the runtime is left', !readCmdline(parent)!.join(' ').includes('myrunc'));
}

function look(s: Step, bench: Bench): void {
  const inside = (...argv: string[]): string => bench.myrunc('exec', bench.id, ...argv).out;
  const ps = inside('ps', '-o', 'pid,args');
  s.call('myrunc exec ID ps', '0');
  s.evidence('processes, as seen inside', { all: ps.replaceAll('\n', '; ') });
  s.claim('the program is process 1', /^ *1 sleep 1000$/m.test(ps));
  const mounts = inside('cat', '/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' '));
  s.evidence('mounts, as seen inside', {
    all: [...new Set(mounts.map((line) => line[4]))].slice(0, 12).join(' ') + ' …',
  });
  s.claim(
    'no mount of the host is among them',
    mounts.every((line) => !/^\/(home|boot|run\/)/.test(line[4]!)),
  );
  s.evidence('host name', {
    host: readFileSync('/proc/sys/kernel/hostname', 'utf8').trim(),
    container: inside('hostname'),
  });
  s.claim(
    'the exit status is the program’s',
    bench.myrunc('exec', bench.id, 'sh', '-c', 'exit 42').status === 42,
  );
}

function rights(s: Step, bench: Bench): void {
  const inside = (script: string): { status: number | null; out: string } =>
    bench.myrunc('exec', bench.id, 'sh', '-c', script);
  const status = readStatus(bench.pid)!;
  s.evidence('effective capabilities (bits)', {
    host: readStatus('self')!.capabilities.effective.toString(16),
    container: status.capabilities.effective.toString(16),
  });
  s.claim(
    'three are left: CAP_AUDIT_WRITE, CAP_KILL, CAP_NET_BIND_SERVICE',
    status.capabilities.effective === 0x20000420n,
  );
  s.call('prctl(PR_CAPBSET_DROP, …), setresuid(0, 0, 0), capset(…)', 'made by the layer before execve');
  const tries = {
    'mount -t tmpfs x /dev/shm': 'permission denied',
    'echo 1 > /proc/sys/vm/drop_caches': 'Read-only',
    '> /x': 'Read-only',
  };
  s.evidence(
    'tried inside',
    Object.fromEntries(Object.keys(tries).map((script) => [script, inside(script).out])),
  );
  for (const script of Object.keys(tries)) s.claim(`refused: ${script}`, inside(script).status !== 0);
  s.claim('/proc/keys is masked: there is nothing in it', inside('cat /proc/keys').out === '');
}

function remove(s: Step, bench: Bench): void {
  s.call('myrunc kill ID KILL', bench.myrunc('kill', bench.id, 'KILL').status);
  waitUntil(() => state(bench).status === 'stopped');
  s.claim('state says: stopped', state(bench).status === 'stopped');
  s.call('myrunc delete ID', bench.myrunc('delete', bench.id).status);
  nothingLeft(s, bench);
}

function fail(s: Step, bench: Bench): void {
  changeProcess(bench, ['no-such-program']);
  const { status, out } = bench.myrunc('create', '--bundle', bench.bundle, bench.id);
  s.call('myrunc create --bundle BUNDLE ID', status);
  s.evidence('it says', { error: out.replace(/^time=\S+ /, '') });
  s.claim(
    'the status is 1 and the message names the command',
    status === 1 && out.includes('exec: \\"no-such-program\\": executable file not found in $PATH'),
  );
  nothingLeft(s, bench);
}

function attack(s: Step, bench: Bench): void {
  const evil = join(bench.bundle, 'rootfs/bin/evil');
  writeFileSync(evil, '#!/proc/self/exe\nconsole.log(`I run in ${process.execPath}, ${process.version}`)\n');
  chmodSync(evil, 0o755);
  // First as a careless runtime would do it: execve straight out of this process, which is Node.
  const careless = runDirectly(evil, ['evil']);
  s.call(`execve("${evil}", ["evil"])`, careless.status);
  s.evidence('without the remedy', { 'the script prints': careless.out });
  s.claim(
    `it got the host's own ${process.execPath} to run: Node ${process.version}`,
    careless.out === `I run in ${process.execPath}, ${process.version}`,
  );
  // Then by the layer.
  changeProcess(bench, ['/bin/evil']);
  const { status, out } = bench.myrunc('run', '--bundle', bench.bundle, bench.id);
  s.call('myrunc run --bundle BUNDLE ID', status);
  s.evidence('with it', { 'the script prints': out });
  s.claim(
    'the kernel found a sealed file in memory instead, which gave up',
    status === 1 && out.startsWith('exec /bin/evil: the kernel cannot start it'),
  );
  nothingLeft(s, bench);
}

/** Runs a program by a plain fork and execve of this process, and catches what it prints. */
function runDirectly(path: string, argv: string[]): { status: number; out: string } {
  const { read, write } = pipe();
  const pid = fork(() => {
    dup2(write, 1);
    dup2(write, 2);
    try {
      execve(path, argv, []);
    } catch {
      return 127;
    }
  });
  closeSync(write);
  const status = exitCode(waitpid(pid));
  const out = readFileSync(read, 'utf8').trim();
  closeSync(read);
  return { status, out };
}

function state(bench: Bench): { status: string; pid: number } {
  return JSON.parse(bench.myrunc('state', bench.id).out) as { status: string; pid: number };
}

function changeProcess({ bundle: path }: Bench, args: string[]): void {
  const file = join(path, 'config.json');
  const spec = JSON.parse(readFileSync(file, 'utf8')) as OciSpec;
  spec.process!.args = args;
  writeFileSync(file, JSON.stringify(spec));
}

function nothingLeft(s: Step, { dir, id, pid, cgroup }: Bench): void {
  const trees = [
    '/sys/fs/cgroup',
    ...readdirSync('/sys/fs/cgroup').map((name) => join('/sys/fs/cgroup', name)),
  ];
  s.claim(
    'no cgroup, mount, process or note of it is left',
    [
      trees.every((tree) => !existsSync(join(tree, cgroup))),
      !readFileSync('/proc/self/mountinfo', 'utf8').includes(dir),
      !readCmdline(pid)?.length,
      !existsSync(join(dir, 'state', id)),
    ].every(Boolean),
  );
}
