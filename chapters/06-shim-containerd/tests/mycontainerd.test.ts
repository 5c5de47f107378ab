import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readStatus } from '../../01-processes/index.ts';
import { decodeEvent, jsonAny, OCI_TYPES, type Event } from '../api.ts';
import { CODES } from '../grpc-errors.ts';
import {
  createTask,
  importBaseImage,
  runTask,
  startEngine,
  until,
  type Engine,
} from './mycontainerd-harness.ts';

describe('mycontainerd', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    await importBaseImage(engine);
  });
  afterAll(() => engine.destroy());

  /** Follows events from here on; what is returned gives those that were told before it was called. */
  function record(): () => Promise<Event[]> {
    const last = '/tasks/last';
    const seen: Event[] = [];
    const following = (async () => {
      const filters = [`topic~="^/tasks/",namespace==${engine.name}`];
      for await (const { topic, event } of engine.client.events.subscribe({ filters })) {
        if (topic === last) return;
        seen.push(decodeEvent(event)!);
      }
    })();
    following.catch(() => undefined);
    return async () => {
      await engine.client.events.publish({ topic: last, event: jsonAny(OCI_TYPES.spec, {}) });
      await following;
      return seen;
    };
  }

  it('says NotFound to a signal whose shim ends meanwhile: the process has ended', async () => {
    const { client } = engine;
    const { id, pid } = await createTask(engine, ['sleep', '1000']);
    await client.tasks.start({ containerId: id });
    const shim = readStatus(pid)!.ppid;
    process.kill(shim, 'SIGSTOP');
    const asked = client.tasks.kill({ containerId: id, signal: 9 });
    const refused = expect(asked).rejects.toMatchObject({ code: CODES.NotFound });
    await sleep(200); // the shim is asked, and cannot answer
    process.kill(shim, 'SIGKILL');
    await refused;
    await client.containers.delete({ id });
  });

  it('does not start a process that has ended already, and says so', async () => {
    const { client } = engine;
    const { id, pid } = await createTask(engine, ['sleep', '1000']);
    process.kill(pid, 'SIGKILL');
    await client.tasks.wait({ containerId: id });
    await expect(client.tasks.start({ containerId: id })).rejects.toThrow(
      'ended before it was started, with status 137',
    );
    await client.tasks.delete({ containerId: id });
    await client.containers.delete({ id });
  });

  it('runs a container of an image that came in by the API: output, exit status, events in order, nothing left', async () => {
    const { client } = engine;
    const events = record();
    const { id, pid, output, cgroup } = await createTask(engine, [
      'sh',
      '-c',
      'echo hello; cat /proc/1/cgroup; exit 7',
    ]);
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain(cgroup);
    expect((await client.tasks.get({ containerId: id })).process).toMatchObject({
      id,
      pid,
      status: 'CREATED',
    });

    await client.tasks.start({ containerId: id });
    expect((await client.tasks.wait({ containerId: id })).exitStatus).toBe(7);
    expect((await client.tasks.list({})).tasks).toContainEqual(
      expect.objectContaining({ id, status: 'STOPPED', exitStatus: 7 }),
    );
    expect(await client.tasks.delete({ containerId: id })).toMatchObject({ id, pid, exitStatus: 7 });

    expect(readFileSync(output, 'utf8')).toMatch(/^hello\n/);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(engine.leftovers(id)).toEqual([]);
    const told = (await events()).filter((event) => 'containerId' in event && event.containerId === id);
    expect(told.map(({ type }) => type)).toEqual(['TaskCreate', 'TaskStart', 'TaskExit', 'TaskDelete']);
    expect(told[2]).toMatchObject({ id, pid, exitStatus: 7 });

    await client.containers.delete({ id });
    await client.snapshots.remove({ snapshotter: 'overlayfs', key: id });
  });

  it('brings another process into a running container, and tells its end apart from the container’s', async () => {
    const { client } = engine;
    const { id } = await runTask(engine, ['sleep', '1000']);
    const output = join(engine.directory, `${id}.exec`);
    await client.tasks.exec({
      containerId: id,
      execId: 'e',
      stdout: `file://${output}`,
      spec: jsonAny(OCI_TYPES.process, {
        args: ['sh', '-c', 'echo in; exit 3'],
        cwd: '/',
        env: ['PATH=/bin'],
        user: { uid: 0, gid: 0 },
      }),
    });
    const { pid } = await client.tasks.start({ containerId: id, execId: 'e' });
    expect((await client.tasks.wait({ containerId: id, execId: 'e' })).exitStatus).toBe(3);
    expect(await client.tasks.deleteProcess({ containerId: id, execId: 'e' })).toMatchObject({
      pid,
      exitStatus: 3,
    });
    expect(readFileSync(output, 'utf8')).toBe('in\n');
    expect((await client.tasks.get({ containerId: id })).process.status).toBe('RUNNING');

    const waiting = client.tasks.wait({ containerId: id });
    await client.tasks.kill({ containerId: id, signal: 9 });
    expect((await waiting).exitStatus).toBe(137);
    await client.tasks.delete({ containerId: id });
    await client.containers.delete({ id });
  });

  it('leaves nothing behind of a container whose command is not there', async () => {
    const { client } = engine;
    const id = 'no-such-command';
    // The runtime may see it as early as Create, or at Start.
    const failure = await runTask(engine, ['/no/such/command'], { id }).catch((error: Error) => error);
    expect(failure).toBeInstanceOf(Error);
    await client.tasks.delete({ containerId: id }).catch(() => undefined);
    expect(engine.leftovers(id)).toEqual([]);
    await expect(client.tasks.get({ containerId: id })).rejects.toMatchObject({ code: CODES.NotFound });
    await client.containers.delete({ id });
  });

  it('says no with containerd’s codes', async () => {
    const { containers, tasks, content, images, snapshots, namespaces } = engine.client;
    const spec = jsonAny(OCI_TYPES.spec, {});
    const runtime = { name: 'io.containerd.myrunc.v2' };
    const { id } = await runTask(engine, ['sleep', '1000']);
    await containers.create({ container: { id: 'bad', spec, runtime: { name: '/no/such/shim' } } });
    const refused: [() => Promise<unknown>, keyof typeof CODES][] = [
      [() => containers.get({ id: 'none' }), 'NotFound'],
      [() => containers.create({ container: { id, spec, runtime } }), 'AlreadyExists'],
      [() => containers.create({ container: { id: '../x', spec, runtime } }), 'InvalidArgument'],
      [() => containers.create({ container: { id: 'x' } }), 'InvalidArgument'],
      [() => containers.list({ filters: ['id=='] }), 'InvalidArgument'],
      [() => containers.delete({ id }), 'FailedPrecondition'],
      [() => tasks.create({ containerId: 'none' }), 'NotFound'],
      [() => tasks.create({ containerId: id }), 'AlreadyExists'],
      [() => tasks.create({ containerId: 'bad' }), 'NotFound'],
      [() => tasks.start({ containerId: 'bad' }), 'NotFound'],
      [() => tasks.delete({ containerId: id }), 'FailedPrecondition'],
      [() => tasks.kill({ containerId: id, execId: 'none', signal: 9 }), 'NotFound'],
      [() => content.info({ digest: `sha256:${'0'.repeat(64)}` }), 'NotFound'],
      [() => content.info({ digest: '../../etc/passwd' }), 'InvalidArgument'],
      [() => images.get({ name: 'none' }), 'NotFound'],
      [() => snapshots.prepare({ snapshotter: 'overlayfs', key: 'k', parent: 'none' }), 'NotFound'],
      [() => snapshots.remove({ snapshotter: 'overlayfs', key: engine.parent }), 'FailedPrecondition'],
      [() => snapshots.stat({ snapshotter: 'none', key: 'k' }), 'InvalidArgument'],
      [() => namespaces.delete({ name: engine.name }), 'FailedPrecondition'],
      [() => containers.list({}, { namespace: '' }), 'FailedPrecondition'],
      [() => containers.list({}, { namespace: '../x' }), 'InvalidArgument'],
    ];
    for (const [i, [call, code]] of refused.entries())
      await expect(call(), `call ${i}`).rejects.toMatchObject({ code: CODES[code] });
    await tasks.kill({ containerId: id, signal: 9 });
    await tasks.wait({ containerId: id });
    await tasks.delete({ containerId: id });
    for (const one of [id, 'bad']) await containers.delete({ id: one });
  });

  it('shows a namespace nothing of another', async () => {
    const other = { namespace: `${engine.name}x` };
    const { client } = engine;
    expect((await client.images.list({})).images.map(({ name }) => name)).toEqual([engine.image]);
    expect((await client.images.list({}, other)).images).toEqual([]);
    await client.images.create(
      { image: { name: 'x', target: { mediaType: 'm', size: 1, digest: `sha256:${'0'.repeat(64)}` } } },
      other,
    );
    expect((await client.namespaces.list({})).namespaces.map(({ name }) => name)).toEqual([
      engine.name,
      other.namespace,
    ]);
    await client.images.delete({ name: 'x' }, other);
    await client.namespaces.delete({ name: other.namespace });
  });

  it('refuses bytes that are not what was announced, and goes on after an interruption where it was', async () => {
    const { content } = engine.client;
    const wrong = content.write();
    await wrong.send({ action: 'WRITE', ref: 'w', data: Buffer.from('abc') });
    await wrong.next();
    await wrong.send({ action: 'COMMIT', offset: 3, expected: `sha256:${'0'.repeat(64)}` });
    await expect(wrong.next()).rejects.toMatchObject({ code: CODES.FailedPrecondition });
    await content.abort({ ref: 'w' });

    const first = content.write();
    await first.send({ action: 'WRITE', ref: 'r', total: 6, data: Buffer.from('abc') });
    await first.next();
    first.cancel();
    await engine.end('SIGKILL');
    await engine.start();
    expect((await content.status({ ref: 'r' })).status).toMatchObject({ ref: 'r', offset: 3, total: 6 });
    const second = content.write();
    await second.send({ action: 'STAT', ref: 'r' });
    expect(await second.next()).toMatchObject({ offset: 3 });
    await second.send({ action: 'WRITE', offset: 3, data: Buffer.from('def') });
    await second.next();
    await second.send({ action: 'COMMIT', offset: 6, total: 6 });
    const { digest } = (await second.next())!;
    const read: Buffer[] = [];
    for await (const { data } of content.read({ digest, offset: 1, size: 4 })) read.push(data);
    expect(Buffer.concat(read).toString()).toBe('bcde');
    await content.delete({ digest });
  });

  it('removes what no image, container or lease needs any more, and nothing else', async () => {
    const { client } = engine;
    const count = async (): Promise<[blobs: number, snapshots: number]> => {
      let [blobs, snapshots] = [0, 0];
      for await (const { info } of client.content.list({})) blobs += info.length;
      for await (const { info } of client.snapshots.list({ snapshotter: 'overlayfs' }))
        snapshots += info.length;
      return [blobs, snapshots];
    };
    // Roots of other tests in this namespace.
    for await (const { info } of client.snapshots.list({ snapshotter: 'overlayfs' }))
      for (const { name, labels } of info)
        if ('containerd.io/gc.root' in labels)
          await client.snapshots.remove({ snapshotter: 'overlayfs', key: name });
    await client.snapshots.prepare({
      snapshotter: 'overlayfs',
      key: 'held',
      parent: engine.parent,
      labels: { 'containerd.io/gc.root': 'test' },
    });
    expect(await count()).toEqual([3, 2]);
    await client.images.delete({ name: engine.image, sync: true });
    expect(await count()).toEqual([0, 2]);
    await client.snapshots.remove({ snapshotter: 'overlayfs', key: 'held' });
    const { lease } = await client.leases.create({});
    await client.leases.delete({ id: lease.id, sync: true });
    expect(await count()).toEqual([0, 0]);
    await importBaseImage(engine);
  });

  it('lets no second server have its root or its socket, and is not stopped by what a killed one left', async () => {
    const second = (...flags: string[]) =>
      spawnSync(join(engine.bin, 'mycontainerd'), flags, { encoding: 'utf8', timeout: 60_000 });
    const { directory, address } = engine;
    const sameRoot = second(
      '--root',
      join(directory, 'root'),
      '--state',
      join(directory, 's2'),
      '--address',
      `${directory}/2`,
    );
    expect(sameRoot.status).toBe(1);
    expect(sameRoot.stderr).toMatch(/^mycontainerd: .*root is in use by another process\n$/);
    const sameSocket = second(
      '--root',
      join(directory, 'r2'),
      '--state',
      join(directory, 's2'),
      '--address',
      address,
    );
    expect(sameSocket.status).toBe(1);
    expect(sameSocket.stderr).toContain('another server answers');
    const tooLong = second('--root', join(directory, 'r2'), '--state', join(directory, 'x'.repeat(100)));
    expect(tooLong.stderr).toMatch(/^mycontainerd: --address ".*" is too long: .* at most 101 bytes here\n$/);
    const badFlag = second('--rot', '/x');
    expect(badFlag.stderr).toMatch(/^mycontainerd: .*--rot.*\n$/);

    await engine.end('SIGKILL');
    expect(existsSync(address)).toBe(true);
    await engine.start();
    await until('it answers', () =>
      engine.client.version.version({}).then(
        () => true,
        () => false,
      ),
    );
  });
});
