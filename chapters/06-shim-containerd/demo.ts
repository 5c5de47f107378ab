import { spawn } from 'node:child_process';
import { closeSync, readFileSync, readlinkSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  demo,
  fork,
  isAlive,
  kill,
  makeExecutable,
  pipe,
  setSubreaper,
  SIGNALS,
  waitAsync,
  type Demo,
  type Step,
} from '../01-processes/index.ts';
import { jsonAny, OCI_TYPES } from './api.ts';
import { connectContainerd } from './client.ts';
import { eventually, gone, openShimBench, shimPid, type ShimBench, type TestBundle } from './demo-support.ts';
import { encode } from './protobuf.ts';
import { PROCESS_TYPE_URL, shimProtos, type TaskService } from './task-api.ts';
import { encodeFrame, FRAME } from './ttrpc-frame.ts';

await demo('06 shim and containerd: who stays with a container', async (d) => {
  await d.step('Without a shim: the daemon is the parent', {
    why: 'If the daemon itself holds a container, its end is the container’s: the pipe breaks, and no one learns the exit status.',
    run: daemonAsParent,
  });
  await d.step('The one kernel idea: a subreaper', {
    why: 'An orphan goes to the nearest ancestor that has asked for orphans, and that one may wait for it.',
    run: subreaper,
  });
  const bench = await prepare(d);
  const bundle = bench.bundle({
    args: ['/bin/sh', '-c', 'n=0; while sleep 0.1; do n=$((n+1)); echo $n; done'],
  });
  await d.step('Start: a daemon is left behind', {
    why: 'containerd runs the shim’s program in the bundle, reads one line, and connects to what the line says.',
    run: (s) => start(s, bundle),
  });
  const { task, connection } = await bundle.connect();
  d.cleanup('close the connection to the shim', connection.close);
  let pid = 0;
  await d.step('Create: the runtime exits, the shim stays', {
    why: 'The shim calls myrunc, which makes the container and exits. Its orphan is the container’s first process.',
    run: async (s) => {
      pid = await create(s, bundle, task);
    },
  });
  await d.step('The wire: ttrpc', {
    why: 'A shim is there for each container: it speaks protobuf in frames of ten bytes, without HTTP/2.',
    run: (s) => wire(s, bundle),
  });
  await d.step('Exec: one more process, the same way', {
    why: 'docker exec is a second process in the container’s namespaces. Its parent is the shim too.',
    run: (s) => exec(s, bundle, task, pid),
  });
  await d.step('kill -9 of the daemon', {
    why: 'Everything above the shim may be killed, and upgraded, under a running container.',
    run: (s) => killDaemon(s, bench),
  });
  await d.step('Attack: kill -9 of the shim', {
    why: 'The last one who could answer for the container is gone. containerd sees the connection end, and runs `delete`.',
    run: (s) => killShim(s, bundle, pid),
  });
});

async function daemonAsParent(s: Step): Promise<void> {
  setSubreaper(); // so that this demo can tell how the orphan ended
  s.cleanup('be a subreaper no more', () => setSubreaper(false));
  const output = pipe();
  const report = pipe();
  const daemon = fork(() => {
    const worker = fork(() => {
      closeSync(output.read);
      // A container that writes every now and then. SIGPIPE has its default again, as after execve.
      for (;;) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
        try {
          writeSync(output.write, 'working\n');
        } catch {
          return 128 + SIGNALS['SIGPIPE']!;
        }
      }
    });
    writeSync(report.write, String(worker));
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  });
  closeSync(output.write);
  const text = Buffer.alloc(16);
  const worker = Number(text.toString('utf8', 0, readSync(report.read, text)));
  const before = parentOf(worker);
  closeSync(output.read); // the daemon's own is now the only reading end
  kill(daemon, SIGNALS['SIGKILL']!);
  await waitAsync(daemon);
  s.call(`kill(${daemon}, SIGKILL)`, 0);
  const end = await waitAsync(worker);
  [report.read, report.write].forEach((fd) => closeSync(fd));
  s.evidence('the worker', {
    'parent before': before,
    'its end': end.kind === 'exited' ? `status ${end.code}: nobody reads its output` : end.kind,
  });
  s.claim('the worker did not survive its daemon', end.kind === 'exited' && end.code === 141);
}

async function subreaper(s: Step): Promise<void> {
  setSubreaper();
  s.cleanup('be a subreaper no more', () => setSubreaper(false));
  s.call('prctl(PR_SET_CHILD_SUBREAPER, 1)', 0);
  const report = pipe();
  const runtime = fork(() => {
    const container = fork(() => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      return 42;
    });
    writeSync(report.write, String(container));
    return 0;
  });
  await waitAsync(runtime);
  const text = Buffer.alloc(16);
  const container = Number(text.toString('utf8', 0, readSync(report.read, text)));
  const parent = parentOf(container);
  s.evidence('after the runtime has exited', { runtime, container, 'parent of container': parent });
  const end = await waitAsync(container);
  s.call(`waitpid(${container})`, `status ${end.kind === 'exited' ? end.code : '?'}`);
  [report.read, report.write].forEach((fd) => closeSync(fd));
  s.claim('the orphan became a child of this process', parent === process.pid);
  s.claim('and its exit status was not lost', end.kind === 'exited' && end.code === 42);
}

async function prepare(d: Demo): Promise<ShimBench> {
  const bench = await openShimBench('ch06-demo');
  d.cleanup(`end what runs in ${bench.directory}, and remove it`, bench.close);
  return bench;
}

async function start(s: Step, bundle: TestBundle): Promise<void> {
  const { status, stdout } = bundle.start();
  s.call(`containerd-shim-myrunc-v2 -namespace bench -id ${bundle.id} … start`, `exit status ${status}`);
  s.evidence('its whole output', { stdout: stdout.toString() });
  const pid = shimPid(bundle.id)!;
  const session = sessionOf(pid);
  s.evidence('what it left behind', {
    pid,
    parent: parentOf(pid),
    session,
    'session of this demo': sessionOf(process.pid),
  });
  s.claim('the daemon leads a session of its own', session === pid);
  s.claim('the program that started it is gone', parentOf(pid) !== process.pid);
}

async function create(s: Step, bundle: TestBundle, task: TaskService): Promise<number> {
  const { id, path, rootfs } = bundle;
  const journal = `journal://${bundle.journal}`;
  const { pid } = await task.create({ id, bundle: path, rootfs, stdout: journal, stderr: journal });
  s.call(`Task.Create(${id})`, `pid ${pid}`);
  const shim = shimPid(id)!;
  s.evidence('the process tree', {
    shim,
    'its children': childrenOf(shim).join(' '),
    'container’s parent': parentOf(pid),
  });
  s.claim('the shim is the parent of the container', parentOf(pid) === shim);
  s.claim('the runtime that made it is no more', childrenOf(shim).join() === String(pid));
  s.evidence('created, not started', { 'its program is still': commandOf(pid) });
  await task.start({ id });
  s.call(`Task.Start(${id})`, `pid ${pid}`);
  const wrote = await eventually(async () => (await bundle.output()).text.includes('2\n'));
  s.evidence('started', { 'its program': commandOf(pid) });
  s.claim('what it writes is in the journal', wrote);
  return pid;
}

function wire(s: Step, { id }: TestBundle): void {
  const root = shimProtos();
  const payload = encode(root.lookupType('containerd.task.v2.StateRequest'), { id });
  const frame = encodeFrame({ stream: 1, type: FRAME.REQUEST, flags: 0, payload });
  s.evidence('State({id}) as a frame', {
    length: `${frame.subarray(0, 4).toString('hex')}  ${payload.length} bytes follow the header`,
    stream: `${frame.subarray(4, 8).toString('hex')}  the client's first call`,
    type: `${frame.subarray(8, 9).toString('hex')}        a request`,
    flags: frame.subarray(9, 10).toString('hex'),
    payload: `${payload.subarray(0, 2).toString('hex')}…     field 1, ${id.length} bytes: the id`,
  });
  s.note('Around this message goes one more, which names service and method: see ttrpc.ts.');
  s.claim('the header has ten bytes', frame.length - payload.length === 10);
}

async function exec(s: Step, bundle: TestBundle, task: TaskService, init: number): Promise<void> {
  const { id } = bundle;
  const execId = 'look';
  const spec = {
    // It stays until it has been looked at, however slow the machine is.
    args: ['/bin/sh', '-c', 'until [ -e /dev/shm/seen ]; do sleep 0.05; done; exit 5'],
    cwd: '/',
    env: ['PATH=/bin'],
    user: { uid: 0, gid: 0 },
  };
  const value = Buffer.from(JSON.stringify(spec));
  await task.exec({ id, execId, spec: { typeUrl: PROCESS_TYPE_URL, value } });
  s.call(`Task.Exec(${id}, ${execId})`, 'added: nothing runs yet');
  const { pid } = await task.start({ id, execId });
  s.call(`Task.Start(${id}, ${execId})`, `pid ${pid}`);
  const [own, others] = [pidNamespace(pid), pidNamespace(init)];
  s.evidence('the second process', { parent: parentOf(pid), 'pid namespace': own, 'of the first': others });
  s.claim('it is in the container', own === others && own !== pidNamespace(process.pid));
  s.claim('the shim is its parent', parentOf(pid) === shimPid(id));
  writeFileSync(`/proc/${pid}/root/dev/shm/seen`, '');
  const { exitStatus } = await task.wait({ id, execId });
  s.call(`Task.Wait(${id}, ${execId})`, `exit status ${exitStatus}`);
  s.claim('it has an exit status of its own', exitStatus === 5 && isAlive(init));
  await task.delete({ id, execId });
}

async function killDaemon(s: Step, bench: ShimBench): Promise<void> {
  const program = join(bench.directory, 'bin/mycontainerd');
  await makeExecutable({
    source: join(dirname(fileURLToPath(import.meta.url)), 'mycontainerd.ts'),
    out: program,
  });
  const bundle = bench.bundle({
    args: ['/bin/sh', '-c', 'n=0; while sleep 0.1; do n=$((n+1)); echo $n; done'],
  });
  const { id, rootfs } = bundle;
  const places = { root: join(bench.directory, 'd-root'), state: join(bench.directory, 'd') };
  const address = join(places.state, 'containerd.sock');
  const client = connectContainerd(address, 'bench');
  s.cleanup('close the client', client.close);
  const up = async (): Promise<number> => {
    const args = ['--root', places.root, '--state', places.state, '--address', address];
    const daemon = spawn(program, args, { stdio: 'ignore', env: { PATH: process.env['PATH'] } });
    s.cleanup(`end mycontainerd ${daemon.pid}`, () => void daemon.kill('SIGTERM'));
    await client.ready(20_000);
    return daemon.pid!;
  };
  const daemon = await up();
  const spec = jsonAny(OCI_TYPES.spec, JSON.parse(readFileSync(join(bundle.path, 'config.json'), 'utf8')));
  await client.containers.create({ container: { id, spec, runtime: { name: bench.shim } } });
  const stdout = `journal://${bundle.journal}`;
  const { pid } = await client.tasks.create({ containerId: id, rootfs, stdout, stderr: stdout });
  s.cleanup(`end container ${pid}`, async () => {
    if (isAlive(pid)) kill(pid, SIGNALS['SIGKILL']!);
    await gone(pid);
  });
  await client.tasks.start({ containerId: id });
  const shim = shimPid(id)!;
  s.evidence('running', { mycontainerd: daemon, shim, container: pid });

  kill(daemon, SIGNALS['SIGKILL']!);
  await gone(daemon); // the next one finds its folders locked before
  s.call(`kill(${daemon}, SIGKILL)`, 0);
  const lines = (await bundle.output()).text.length;
  const went = await eventually(async () => (await bundle.output()).text.length > lines + 4);
  s.claim('the shim and the container are alive', isAlive(shim) && isAlive(pid));
  s.claim('the container writes on, and nothing it writes is lost', went);

  const next = await up();
  const { process: found } = await client.tasks.get({ containerId: id });
  s.evidence('after a restart', { mycontainerd: next, container: found.pid, status: found.status });
  s.claim('the new daemon has found it', found.pid === pid && found.status === 'RUNNING');
  const waiting = client.tasks.wait({ containerId: id });
  await client.tasks.kill({ containerId: id, signal: 9 });
  const { exitStatus } = await waiting;
  s.call(`tasks.Kill(${id}, 9); tasks.Wait(${id})`, `exit status ${exitStatus}`);
  s.claim('and learns how it ended', exitStatus === 137);
  await client.tasks.delete({ containerId: id });
  await client.containers.delete({ id });
}

async function killShim(s: Step, bundle: TestBundle, pid: number): Promise<void> {
  const shim = shimPid(bundle.id)!;
  kill(shim, SIGNALS['SIGKILL']!);
  await gone(shim);
  s.call(`kill(${shim}, SIGKILL)`, 0);
  s.evidence('the container', { pid, alive: isAlive(pid), parent: parentOf(pid) });
  const { status, stdout } = bundle.delete();
  s.call(`containerd-shim-myrunc-v2 … -bundle … delete`, `exit status ${status}, ${stdout.length} bytes`);
  s.claim('the container’s processes are gone', await gone(pid));
  const mounted = readFileSync('/proc/self/mountinfo', 'utf8').includes(bundle.path);
  s.claim('and so is its mounted root filesystem', !mounted);
}

function field(pid: number, index: number): number {
  return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[index]);
}
function parentOf(pid: number): number {
  return field(pid, 1);
}
function sessionOf(pid: number): number {
  return field(pid, 3);
}
function childrenOf(pid: number): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return list.split(' ').filter(Boolean).map(Number);
}
function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 60).trim();
}
function pidNamespace(pid: number): string {
  return readlinkSync(`/proc/${pid}/ns/pid`);
}
