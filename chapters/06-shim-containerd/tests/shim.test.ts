import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAlive } from '../../01-processes/index.ts';
import {
  eventually,
  gone,
  makeFifo,
  openShimBench,
  readFifo,
  shimPid,
  type BundleOptions,
  type ShimBench,
  type TestBundle,
} from '../demo-support.ts';
import { decode, type Timestamp } from '../protobuf.ts';
import { PROCESS_TYPE_URL, shimProtos, TASK_STATUS, type TaskService } from '../task-api.ts';
import { CODE, type TtrpcConnection } from '../ttrpc.ts';

let bench: ShimBench;
beforeAll(async () => {
  expect(process.getuid?.(), 'these tests make containers: run them as root').toBe(0);
  bench = await openShimBench('shim-test');
});
afterAll(() => bench.close());

interface Running extends TestBundle {
  task: TaskService;
  connection: TtrpcConnection;
  pid: number;
}

/** A container made by a shim of its own, with its output in a journal; not started yet. */
async function create(options: BundleOptions, more: object = {}): Promise<Running> {
  const bundle = bench.bundle(options);
  const { status, stderr } = bundle.start();
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const { task, connection } = await bundle.connect();
  const { id, path, rootfs } = bundle;
  const journal = `journal://${bundle.journal}`;
  const stdio = { terminal: options.terminal ?? false, stdout: journal, stderr: journal };
  const { pid } = await task.create({ id, bundle: path, rootfs, ...stdio, ...more });
  return { ...bundle, task, connection, pid };
}

const shell = (script: string): string[] => ['/bin/sh', '-c', script];

/** Ends the container and its shim as containerd does. */
async function finish({ id, task, connection }: Running): Promise<void> {
  await task.kill({ id, signal: 9 }).catch(() => undefined);
  await task.wait({ id });
  await task.delete({ id });
  await task.shutdown({ id });
  await connection.closed;
}

function exec(of: Running, execId: string, args: string[], more: object = {}): Promise<object> {
  const spec = { args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } };
  const value = Buffer.from(JSON.stringify(spec));
  const io = { terminal: false, stdin: '', stdout: '', stderr: '', ...more };
  return of.task.exec({ id: of.id, execId, ...io, spec: { typeUrl: PROCESS_TYPE_URL, value } });
}

const eventsOf = (id: string): string[] =>
  bench.events.filter(({ event }) => event['containerId'] === id).map(({ topic }) => topic);

describe('start', () => {
  test('prints the address alone and is over; the daemon holds none of its output and leads its own session', async () => {
    const bundle = bench.bundle({ args: ['/bin/true'] });
    const { status, stdout, stderr } = bundle.start();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const address = readFileSync(join(bundle.path, 'address'), 'utf8');
    expect(stdout.toString()).toBe(address);
    expect(address).toMatch(new RegExp(`^unix://${bench.directory}/state/s/[0-9a-f]{64}$`));
    expect(statSync(address.slice('unix://'.length)).isSocket()).toBe(true);

    // It takes a connection at once, though the daemon may not be up yet.
    const { task, connection } = await bundle.connect();
    const { shimPid: pid } = await task.connect({ id: bundle.id });
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    const [, parent, , session] = stat;
    expect(Number(session)).toBe(pid);
    expect(Number(parent)).not.toBe(process.pid);

    // A second start finds the first's daemon.
    expect(bundle.start().stdout.toString()).toBe(address);
    expect((await task.connect({ id: bundle.id })).shimPid).toBe(pid);
    await task.shutdown({ id: bundle.id });
    await connection.closed;
    expect(await gone(pid)).toBe(true);
    expect(existsSync(address.slice('unix://'.length))).toBe(false);
  });
});

describe('a container', () => {
  test('is the child of the shim, since the runtime has exited', async () => {
    const running = await create({ args: ['/bin/sleep', '1000'] });
    await running.task.start({ id: running.id });
    const parent = readFileSync(`/proc/${running.pid}/status`, 'utf8').match(/^PPid:\t(\d+)/m)![1];
    expect(Number(parent)).toBe(shimPid(running.id));
    await finish(running);
    expect(isAlive(running.pid)).toBe(false);
  });

  test('ends with a status and all its output, and the daemon is told in order', async () => {
    const running = await create({ args: shell('seq 20000; echo oops >&2; exit 7') });
    const { id, task, pid } = running;
    expect((await task.state({ id })).status).toBe(TASK_STATUS.CREATED);
    expect(await task.start({ id })).toEqual({ pid });
    expect(await task.wait({ id })).toMatchObject({ exitStatus: 7 });
    const out = await running.output(1);
    expect(out.text).toBe(Array.from({ length: 20000 }, (_, i) => `${i + 1}\n`).join(''));
    expect(out.ended).toBe(true);
    expect(await running.output(2)).toEqual({ text: 'oops\n', ended: true });
    // Whoever asks later still learns of it.
    expect(await task.wait({ id })).toMatchObject({ exitStatus: 7 });
    expect(await task.state({ id })).toMatchObject({ status: TASK_STATUS.STOPPED, exitStatus: 7, pid });
    expect(await task.delete({ id })).toMatchObject({ exitStatus: 7, pid });
    await expect(task.state({ id })).rejects.toMatchObject({ code: CODE.NOT_FOUND });
    await task.shutdown({ id });
    await running.connection.closed;
    expect(eventsOf(id)).toEqual(['/tasks/create', '/tasks/start', '/tasks/exit', '/tasks/delete']);
    expect(mountsBelow(running.path)).toEqual([]);
  });

  test('has a file, or a fifo whose reader may come and go, for its output', async () => {
    const file = join(bench.directory, 'raw.log');
    const plain = await create({ args: shell('echo to the file') }, { stdout: `file://${file}`, stderr: '' });
    await plain.task.start({ id: plain.id });
    await plain.task.wait({ id: plain.id });
    await finish(plain);
    expect(readFileSync(file, 'utf8')).toBe('to the file\n');

    const stdout = makeFifo(join(bench.directory, 'out'));
    const running = await create(
      { args: shell('echo early; read x; echo $x') },
      { stdout, stderr: '', stdin: makeFifo(join(bench.directory, 'in')) },
    );
    await running.task.start({ id: running.id });
    // Nobody reads yet, and nobody has ever written: neither stops the container.
    const reader = readFifo(stdout);
    expect(await eventually(() => reader.text === 'early\n')).toBe(true);
    writeFileSync(join(bench.directory, 'in'), 'late\n');
    expect(await reader.ended).toBe('early\nlate\n');
    await finish(running);
  });

  test('reads on when the client that fed it is gone, and sees the end after CloseIO', async () => {
    const stdin = makeFifo(join(bench.directory, 'stdin'));
    const running = await create({ args: ['/bin/cat'] }, { stdin });
    const { id, task } = running;
    await task.start({ id });
    for (const line of ['one\n', 'two\n']) {
      writeFileSync(stdin, line); // opens, writes and closes: a client that dies
      expect(await eventually(async () => (await running.output()).text.endsWith(line))).toBe(true);
    }
    expect((await task.state({ id })).status).toBe(TASK_STATUS.RUNNING);
    await task.closeIO({ id, stdin: true });
    expect(await task.wait({ id })).toMatchObject({ exitStatus: 0 });
    expect((await running.output()).text).toBe('one\ntwo\n');
    await finish(running);
  });

  test('has a terminal whose size can be changed, and whose end is the end of the output', async () => {
    const stdin = makeFifo(join(bench.directory, 'keys'));
    const script =
      'test -t 0 && test -t 1 && test -t 2 && echo terminal; read x; stty size; echo got $x >&2; exit 3';
    const running = await create({ args: shell(script), terminal: true }, { stdin, stderr: '' });
    const { id, task } = running;
    await task.start({ id });
    expect(await eventually(async () => (await running.output()).text.includes('terminal'))).toBe(true);
    await task.resizePty({ id, width: 123, height: 45 });
    writeFileSync(stdin, 'hello\n');
    expect(await task.wait({ id })).toMatchObject({ exitStatus: 3 });
    const { text, ended } = await running.output();
    expect(text).toContain('45 123\r\n');
    expect(text).toContain('got hello\r\n');
    expect(ended).toBe(true);
    await finish(running);
  });

  test('that the runtime cannot make is refused with the reason, and nothing of it stays', async () => {
    const bundle = bench.bundle({ args: ['/bin/no-such-program'] });
    bundle.start();
    const { task, connection } = await bundle.connect();
    const { id, path, rootfs } = bundle;
    const stdout = `journal://${bundle.journal}`;
    const creating = task.create({ id, bundle: path, rootfs, stdout, stderr: stdout });
    await expect(creating).rejects.toMatchObject({
      code: CODE.UNKNOWN,
      message: expect.stringMatching(/^OCI runtime create failed: .*no-such-program/s),
    });
    expect(mountsBelow(path)).toEqual([]);
    expect((await bundle.output()).text).toBe('');
    await expect(task.state({ id })).rejects.toMatchObject({ code: CODE.NOT_FOUND });
    await task.shutdown({ id });
    await connection.closed;
    expect(eventsOf(id)).toEqual([]);
  });

  test('without a pid namespace of its own leaves no process behind', async () => {
    const running = await create({ args: shell('sleep 1000 & echo $!; exit 0'), hostPid: true });
    await running.task.start({ id: running.id });
    await running.task.wait({ id: running.id });
    const pid = Number((await running.output()).text);
    expect(pid).toBeGreaterThan(1);
    // Not even as a zombie: the shim has inherited it.
    expect(await eventually(() => !isAlive(pid))).toBe(true);
    await finish(running);
  });

  test('is counted, listed, paused and killed', async () => {
    const running = await create({ args: ['/bin/sleep', '1000'] });
    const { id, task, pid } = running;
    await task.start({ id });
    expect((await task.pids({ id })).processes.map((each) => each.pid)).toEqual([pid]);
    expect((await task.stats({ id })).stats!.typeUrl).toMatch(/^io\.containerd\.cgroups\.v[12]\.Metrics$/);
    await task.pause({ id });
    expect((await task.state({ id })).status).toBe(TASK_STATUS.PAUSED);
    await task.resume({ id });
    expect((await task.state({ id })).status).toBe(TASK_STATUS.RUNNING);
    await expect(task.delete({ id })).rejects.toMatchObject({ code: CODE.FAILED_PRECONDITION });
    await task.kill({ id, signal: 9 });
    expect(await task.wait({ id })).toMatchObject({ exitStatus: 137 });
    await expect(task.kill({ id, signal: 9 })).rejects.toMatchObject({ code: CODE.NOT_FOUND });
    await finish(running);
    expect(eventsOf(id).slice(2, 4)).toEqual(['/tasks/paused', '/tasks/resumed']);
  });
});

describe('exec', () => {
  test('has an output and an exit of its own, and leaves no zombie', async () => {
    const running = await create({ args: ['/bin/sleep', '1000'] });
    const { id, task } = running;
    await task.start({ id });
    const stdout = join(bench.directory, 'exec.journal');
    await exec(running, 'e1', shell('echo inside; exit 5'), { stdout: `journal://${stdout}` });
    await expect(exec(running, 'e1', ['/bin/true'])).rejects.toMatchObject({ code: CODE.ALREADY_EXISTS });
    const { pid } = await task.start({ id, execId: 'e1' });
    expect(await task.wait({ id, execId: 'e1' })).toMatchObject({ exitStatus: 5 });
    expect(readFileSync(stdout).includes('inside\n')).toBe(true);
    expect(isAlive(pid)).toBe(false); // not even as a zombie
    expect(await task.delete({ id, execId: 'e1' })).toMatchObject({ exitStatus: 5, pid });

    await exec(running, 'e2', ['/bin/no-such-program']);
    await expect(task.start({ id, execId: 'e2' })).rejects.toMatchObject({ code: CODE.UNKNOWN });
    await task.delete({ id, execId: 'e2' });

    await exec(running, 'e3', ['/bin/sleep', '1000']);
    await task.start({ id, execId: 'e3' });
    await task.kill({ id, execId: 'e3', signal: 15 });
    expect(await task.wait({ id, execId: 'e3' })).toMatchObject({ exitStatus: 143 });
    await finish(running);
    expect(eventsOf(id).slice(2, 5)).toEqual(['/tasks/exec-added', '/tasks/exec-started', '/tasks/exit']);
  });

  test('that runs when the container ends, ends with it and before it', async () => {
    const running = await create({ args: ['/bin/sleep', '1000'] });
    const { id, task } = running;
    await task.start({ id });
    await exec(running, 'e1', ['/bin/sleep', '1000']);
    await task.start({ id, execId: 'e1' });
    await task.kill({ id, signal: 9 });
    expect(await task.wait({ id, execId: 'e1' })).toMatchObject({ exitStatus: 137 });
    await finish(running);
    const exits = bench.events.filter(
      ({ topic, event }) => topic === '/tasks/exit' && event['containerId'] === id,
    );
    expect(exits.map(({ event }) => event['id'])).toEqual(['e1', id]);
  });
});

describe('when others are gone', () => {
  test('events wait for the daemon to come back, in their order', async () => {
    const running = await create({ args: shell('echo alone; exit 4') });
    const { id, task } = running;
    bench.stopDaemon();
    await task.start({ id });
    expect(await task.wait({ id })).toMatchObject({ exitStatus: 4 });
    await bench.startDaemon();
    expect(await eventually(() => eventsOf(id).length === 3)).toBe(true);
    expect(eventsOf(id)).toEqual(['/tasks/create', '/tasks/start', '/tasks/exit']);
    await finish(running);
  });

  test('the shim stays: it ignores SIGTERM, and Shutdown while it has a container', async () => {
    const running = await create({ args: ['/bin/sleep', '1000'] });
    const { id, task } = running;
    await task.start({ id });
    process.kill(shimPid(id)!, 'SIGTERM');
    await task.shutdown({ id });
    running.connection.close();
    const again = await running.connect();
    expect((await again.task.state({ id })).status).toBe(TASK_STATUS.RUNNING);
    await finish({ ...running, ...again });
  });

  test('delete cleans up after a shim that was killed', async () => {
    const running = await create({ args: shell('trap "" TERM; sleep 1000') });
    const { id, pid } = running;
    await running.task.start({ id });
    process.kill(shimPid(id)!, 'SIGKILL');
    await running.connection.closed;
    expect(isAlive(pid)).toBe(true); // the container does not need its shim to live
    const { status, stdout } = running.delete();
    expect(status).toBe(0);
    expect(await gone(pid)).toBe(true);
    expect(mountsBelow(running.path)).toEqual([]);
    const response = decode<{ pid: number; exitStatus: number; exitedAt: Timestamp }>(
      shimProtos().lookupType('containerd.task.v2.DeleteResponse'),
      stdout,
    );
    expect(response).toMatchObject({ pid, exitStatus: 137 });
    expect(existsSync(readFileSync(join(running.path, 'address'), 'utf8').slice(7))).toBe(false);
    // And once more: nothing left to do is no error.
    expect(running.delete().status).toBe(0);
  });
});

const mountsBelow = (path: string): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(path));
