import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isRunning } from '../../01-processes/index.ts';
import { until as untilNow } from '../../01-processes/tests/until.ts';
import { decodeEvent, type Event } from '../api.ts';
import { connectContainerd } from '../client.ts';
import { CODES, isGrpcError } from '../grpc-errors.ts';
import {
  importBaseImage,
  processesWith,
  runTask,
  shimPid,
  startEngine,
  until,
  type Engine,
} from './mycontainerd-harness.ts';

describe('mycontainerd and the death of processes', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    await importBaseImage(engine);
  });
  afterAll(() => engine.destroy());

  /** The first event of a type about a container, from a subscription that begins now. */
  async function event<T extends Event['type']>(type: T, id: string): Promise<Event & { type: T }> {
    const stop = new AbortController();
    for await (const { event } of engine.client.events.subscribe({}, { signal: stop.signal })) {
      const decoded = decodeEvent(event);
      if (decoded?.type !== type || !('containerId' in decoded) || decoded.containerId !== id) continue;
      stop.abort();
      return decoded as Event & { type: T };
    }
    throw new Error('the events ended');
  }

  it('is waited for by a patient client while it is away, and not by another', async () => {
    const patient = connectContainerd(engine.address, engine.name, { patience: 20_000 });
    try {
      await patient.version.version({});
      await engine.end('SIGKILL');
      // A call on a connection whose end has yet to be read may be lost with it: who was impatient says that it is known.
      await until('the connection has ended', async () => {
        const answer = await patient.version.version({}, { timeout: 200 }).catch((error: unknown) => error);
        return isGrpcError(answer, 'Unavailable') && String(answer).includes('No connection established');
      });
      await expect(engine.client.version.version({})).rejects.toMatchObject({ code: CODES.Unavailable });
      const waiting = patient.version.version({});
      await engine.start();
      expect((await waiting).version).toBeTruthy();
    } finally {
      patient.close();
    }
  });

  it('is not taken for ready by a client that has yet to notice its end', async () => {
    const { client, process: server } = engine;
    await client.version.version({});
    const gone = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    untilNow('it has ended', () => !isRunning(server.pid!));
    // Nothing has been read from the connection meanwhile: it still counts as open.
    await expect(client.ready(500)).rejects.toMatchObject({ code: CODES.Unavailable });
    await gone;
    await engine.start();
    expect((await client.version.version({})).version).toBeTruthy();
  });

  it('finds a running container again after its own kill -9; the container noticed nothing', async () => {
    const { client } = engine;
    const { id, pid, output } = await runTask(engine, [
      'sh',
      '-c',
      'i=0; while sleep 0.1; do i=$((i+1)); echo $i; done',
    ]);
    const shim = shimPid(engine, id);
    await engine.end('SIGKILL');
    const lines = (): string[] => readFileSync(output, 'utf8').trim().split('\n');
    const before = lines().length;
    await until('the container goes on writing', () => lines().length > before + 2);
    await engine.start();

    expect((await client.tasks.get({ containerId: id })).process).toMatchObject({
      id,
      pid,
      status: 'RUNNING',
    });
    expect(shimPid(engine, id)).toBe(shim);
    const exit = client.tasks.wait({ containerId: id });
    await client.tasks.kill({ containerId: id, signal: 9 });
    expect((await exit).exitStatus).toBe(137);
    expect(lines()).toEqual(lines().map((_, i) => String(i + 1)));
    await client.tasks.delete({ containerId: id });
    expect(engine.leftovers(id)).toEqual([]);
  });

  it('tells of an exit that happened while it was away, once', async () => {
    const { client } = engine;
    const { id, pid } = await runTask(engine, [
      'sh',
      '-c',
      'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 9',
    ]);
    const { process: running } = await client.tasks.get({ containerId: id });
    expect(running.status).toBe('RUNNING');
    const root = `/proc/${pid}/root`;
    await engine.end('SIGKILL');
    // The way into a running container that chapter 01 shows: its root is there for whoever may look.
    writeFileSync(`${root}/tmp/go`, '');
    await until('it has ended', () => !existsSync(`/proc/${pid}/root/tmp/go`));
    await engine.start();

    expect(await event('TaskExit', id)).toMatchObject({ id, pid, exitStatus: 9 });
    expect((await client.tasks.get({ containerId: id })).process).toMatchObject({
      status: 'STOPPED',
      exitStatus: 9,
    });
    expect((await client.tasks.wait({ containerId: id })).exitStatus).toBe(9);
    await client.tasks.delete({ containerId: id });
    expect(engine.leftovers(id)).toEqual([]);
  });

  it('ends the container of a shim that is killed, and whoever waits learns of it', async () => {
    const { client } = engine;
    const { id, pid } = await runTask(engine, ['sleep', '1000']);
    const waiting = client.tasks.wait({ containerId: id });
    const exit = event('TaskExit', id);
    // Calls arrive in their order: when this one is answered, the server has those two.
    await client.version.version({});
    process.kill(shimPid(engine, id)!, 'SIGKILL');
    expect((await waiting).exitStatus).toBe(137);
    expect(await exit).toMatchObject({ id, pid, exitStatus: 137 });
    await until('the task is gone', () =>
      client.tasks.get({ containerId: id }).then(
        () => false,
        (error: { code: number }) => error.code === CODES.NotFound,
      ),
    );
    expect(isRunning(pid)).toBe(false);
    expect(engine.leftovers(id)).toEqual([]);
  });

  it('cleans up after a shim that died while it was away itself', async () => {
    const { client } = engine;
    const { id, pid } = await runTask(engine, ['sleep', '1000']);
    const shim = shimPid(engine, id)!;
    await engine.end('SIGKILL');
    process.kill(shim, 'SIGKILL');
    // Without its shim the container goes on, a child of PID 1 or the nearest subreaper.
    expect(isRunning(pid)).toBe(true);
    await engine.start();
    expect(await event('TaskExit', id)).toMatchObject({ id, pid, exitStatus: 137 });
    expect(isRunning(pid)).toBe(false);
    expect(engine.leftovers(id)).toEqual([]);
    await expect(client.tasks.get({ containerId: id })).rejects.toMatchObject({ code: CODES.NotFound });
    expect((await client.containers.get({ id })).container.id).toBe(id);
  });

  it('leaves no shim behind that was being started when it was killed', async () => {
    const slow = join(engine.bin, 'containerd-shim-slow-v1');
    const real = join(engine.bin, 'containerd-shim-myrunc-v2');
    const go = join(engine.directory, 'go');
    const wait = `for i in $(seq 400); do test -e ${go} && break; sleep 0.05; done`;
    writeFileSync(slow, `#!/bin/sh\ncase "$*" in *start) ${wait} ;; esac\nexec ${real} "$@"\n`, {
      mode: 0o755,
    });
    const id = 'half-started';
    const creating = runTask(engine, ['sleep', '1000'], { id, runtime: 'io.containerd.slow.v1' }).catch(
      (error: { code: number }) => error.code,
    );
    await until('the shim is being started', () => processesWith(slow, `-id ${id}`).length > 0);
    await engine.end('SIGKILL');
    expect(await creating).toBe(CODES.Unavailable);
    // The next server finds it at work still; whenever it goes on, it is waited for.
    const going = setTimeout(() => writeFileSync(go, ''), 1000);
    await engine.start().finally(() => clearTimeout(going));
    expect(engine.leftovers(id)).toEqual([]);
    expect(processesWith(`-id ${id}`)).toEqual([]);
  });

  it('is not held up by a shim that is stuck', async () => {
    const { client } = engine;
    const { id } = await runTask(engine, ['sleep', '1000']);
    const other = await runTask(engine, ['sleep', '1000']);
    const shim = shimPid(engine, id)!;
    process.kill(shim, 'SIGSTOP');
    try {
      const { tasks } = await client.tasks.list({});
      expect(tasks).toContainEqual(expect.objectContaining({ id, status: 'UNKNOWN' }));
      expect(tasks).toContainEqual(expect.objectContaining({ id: other.id, status: 'RUNNING' }));
      await expect(client.tasks.get({ containerId: id })).rejects.toMatchObject({
        code: CODES.DeadlineExceeded,
      });
    } finally {
      process.kill(shim, 'SIGCONT');
    }
    for (const containerId of [id, other.id]) {
      expect((await client.tasks.get({ containerId })).process.status).toBe('RUNNING');
      await client.tasks.kill({ containerId, signal: 9 });
      await client.tasks.wait({ containerId });
      await client.tasks.delete({ containerId });
    }
  });

  it('leaves containers alone when it is asked to end', async () => {
    const { client } = engine;
    const { id, pid } = await runTask(engine, ['sleep', '1000']);
    const program = (): string => readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    await until('it is what it is to be', () => program() === 'sleep\x001000\0');
    await engine.end('SIGTERM');
    expect(existsSync(engine.address)).toBe(false);
    expect(program()).toBe('sleep\x001000\0');
    await engine.start();
    expect((await client.tasks.get({ containerId: id })).process).toMatchObject({ pid, status: 'RUNNING' });
    await client.tasks.kill({ containerId: id, signal: 15, all: true });
    await client.tasks.kill({ containerId: id, signal: 9 }).catch(() => undefined);
    await client.tasks.wait({ containerId: id });
    await client.tasks.delete({ containerId: id });
  });
});
