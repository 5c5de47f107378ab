import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonAny, OCI_TYPES } from '../api.ts';
import type { ContainerdClient } from '../client.ts';
import { codeName } from '../grpc-errors.ts';
import { startEngine, type Engine } from './mycontainerd-harness.ts';
import { startStockContainerd, type StockContainerd } from './stock-containerd.ts';

describe('the same wrong calls, made of containerd and of mycontainerd', () => {
  let engine: Engine;
  let stock: StockContainerd;
  beforeAll(async () => {
    engine = await startEngine();
    stock = await startStockContainerd(engine.name);
  });
  afterAll(async () => {
    await stock.stop();
    await engine.destroy();
  });

  const digest = `sha256:${'0'.repeat(64)}`;
  const spec = jsonAny(OCI_TYPES.spec, { ociVersion: '1.0.2' });
  const runtime = { name: 'io.containerd.runc.v2' };
  const target = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 3 };
  const overlay = { snapshotter: 'overlayfs' };
  async function first(stream: AsyncIterable<unknown>): Promise<void> {
    for await (const _ of stream) return;
  }
  async function write(client: ContainerdClient, ...messages: object[]): Promise<void> {
    const call = client.content.write();
    for (const message of messages) {
      await call.send(message);
      await call.next();
    }
    call.end();
  }

  const calls: Record<string, (client: ContainerdClient) => Promise<unknown>> = {
    'containers.get of none': (c) => c.containers.get({ id: 'none' }),
    'containers.update of none': (c) => c.containers.update({ container: { id: 'none', spec, runtime } }),
    'containers.delete of none': (c) => c.containers.delete({ id: 'none' }),
    'containers.create without runtime': (c) => c.containers.create({ container: { id: 'x', spec } }),
    'containers.create without spec': (c) => c.containers.create({ container: { id: 'x', runtime } }),
    'containers.create with a bad id': (c) =>
      c.containers.create({ container: { id: 'a/b', spec, runtime } }),
    'containers.create': (c) => c.containers.create({ container: { id: 'x', spec, runtime } }),
    'containers.create again': (c) => c.containers.create({ container: { id: 'x', spec, runtime } }),
    'containers.update of an unknown field': (c) =>
      c.containers.update({ container: { id: 'x' }, updateMask: { paths: ['nonsense'] } }),
    'containers.list with a bad filter': (c) => c.containers.list({ filters: ['id=='] }),
    'containers.list without a namespace': (c) => c.containers.list({}, { namespace: '' }),
    'tasks.create without a container': (c) => c.tasks.create({ containerId: 'none' }),
    'tasks.get of none': (c) => c.tasks.get({ containerId: 'x' }),
    'tasks.start of none': (c) => c.tasks.start({ containerId: 'x' }),
    'tasks.delete of none': (c) => c.tasks.delete({ containerId: 'x' }),
    'tasks.kill of none': (c) => c.tasks.kill({ containerId: 'x', signal: 9 }),
    'tasks.wait of none': (c) => c.tasks.wait({ containerId: 'x' }),
    'tasks.list': (c) => c.tasks.list({}),
    'images.get of none': (c) => c.images.get({ name: 'none' }),
    'images.delete of none': (c) => c.images.delete({ name: 'none' }),
    'images.create without target': (c) => c.images.create({ image: { name: 'i' } }),
    'images.create with a bad digest': (c) =>
      c.images.create({ image: { name: 'i', target: { ...target, digest: 'x' } } }),
    'images.create': (c) => c.images.create({ image: { name: 'i', target } }),
    'images.create again': (c) => c.images.create({ image: { name: 'i', target } }),
    'images.update of none': (c) => c.images.update({ image: { name: 'none', target } }),
    'content.info of none': (c) => c.content.info({ digest }),
    'content.info of nonsense': (c) => c.content.info({ digest: 'nonsense' }),
    'content.delete of none': (c) => c.content.delete({ digest }),
    'content.read of none': (c) => first(c.content.read({ digest })),
    'content.status of none': (c) => c.content.status({ ref: 'none' }),
    'content.abort of none': (c) => c.content.abort({ ref: 'none' }),
    'content.write without a ref': (c) => write(c, { action: 'WRITE' }),
    'content.write of wrong bytes': (c) =>
      write(
        c,
        { action: 'WRITE', ref: 'w', data: Buffer.from('a') },
        { action: 'COMMIT', expected: digest, offset: 1 },
      ),
    'content.write at a wrong offset': (c) =>
      write(
        c,
        { action: 'WRITE', ref: 'o', data: Buffer.from('a') },
        { action: 'WRITE', offset: 5, data: Buffer.from('b') },
      ),
    'snapshots.stat of none': (c) => c.snapshots.stat({ ...overlay, key: 'none' }),
    'snapshots.remove of none': (c) => c.snapshots.remove({ ...overlay, key: 'none' }),
    'snapshots.mounts of none': (c) => c.snapshots.mounts({ ...overlay, key: 'none' }),
    'snapshots.prepare on none': (c) => c.snapshots.prepare({ ...overlay, key: 'k', parent: 'none' }),
    'snapshots.prepare': (c) =>
      c.snapshots.prepare({ ...overlay, key: 'k', labels: { 'containerd.io/gc.root': 'x' } }),
    'snapshots.prepare again': (c) => c.snapshots.prepare({ ...overlay, key: 'k' }),
    'snapshots.commit of none': (c) => c.snapshots.commit({ ...overlay, name: 'n', key: 'none' }),
    'snapshots of an unknown snapshotter': (c) => c.snapshots.stat({ snapshotter: 'none', key: 'k' }),
    'diff.apply of none': (c) => c.diff.apply({ diff: target }),
    'leases.create': (c) => c.leases.create({ id: 'l' }),
    'leases.create again': (c) => c.leases.create({ id: 'l' }),
    'leases.delete of none': (c) => c.leases.delete({ id: 'none' }),
    'leases.listResources of none': (c) => c.leases.listResources({ id: 'none' }),
    'namespaces.get of none': (c) => c.namespaces.get({ name: 'none' }),
    'namespaces.create again': (c) => c.namespaces.create({ namespace: { name: c.namespace } }),
    'namespaces.create with a bad name': (c) => c.namespaces.create({ namespace: { name: 'a/b' } }),
    'namespaces.delete of none': (c) => c.namespaces.delete({ name: 'none' }),
    'namespaces.delete of one in use': (c) => c.namespaces.delete({ name: c.namespace }),
    'events.publish to a bad topic': (c) => c.events.publish({ topic: 'x', event: spec }),
  };

  it('end with the same codes', async () => {
    const answers = async (client: ContainerdClient): Promise<Record<string, string>> => {
      const result: Record<string, string> = {};
      for (const [name, call] of Object.entries(calls))
        result[name] = await Promise.race([
          call(client).then(
            () => 'OK',
            (error: { code: number }) => codeName(error.code),
          ),
          sleep(30_000, 'no answer', { ref: false }),
        ]);
      return result;
    };
    expect(await answers(engine.client)).toEqual(await answers(stock.client));
  });
});
