import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeEvent, jsonAny, OCI_TYPES } from '../api.ts';
import { connectContainerd } from '../client.ts';
import { CODES, GrpcError, isGrpcError } from '../grpc-errors.ts';
import { startStockContainerd, type StockContainerd } from './stock-containerd.ts';

describe('a client of a containerd that we did not write', () => {
  const namespace = `c${randomBytes(4).toString('hex')}`;
  let stock: StockContainerd;
  beforeAll(async () => {
    stock = await startStockContainerd(namespace);
  });
  afterAll(() => stock.stop());

  it('asks its version and its id', async () => {
    expect((await stock.client.version.version({})).version).toMatch(/^\d+\.\d+/);
    expect((await stock.client.introspection.server({})).uuid).toMatch(/^[0-9a-f-]{36}$/);
    const { plugins } = await stock.client.introspection.plugins({});
    expect(plugins.map((p) => p.id)).toContain('overlayfs');
  });

  it('keeps a container’s record with spec, labels and extensions as they were given', async () => {
    const { client } = stock;
    await client.namespaces.create({ namespace: { name: namespace, labels: { a: 'b' } } });
    expect((await client.namespaces.list({})).namespaces).toContainEqual({
      name: namespace,
      labels: { a: 'b' },
    });
    const spec = jsonAny(OCI_TYPES.spec, { ociVersion: '1.0.2' });
    await client.containers.create({
      container: {
        id: 'x',
        labels: { l: '1' },
        spec,
        runtime: { name: 'io.containerd.runc.v2' },
        extensions: { mine: { typeUrl: 'mine', value: Buffer.from([1, 2]) } },
      },
    });
    const { container } = await client.containers.get({ id: 'x' });
    expect(container).toMatchObject({
      id: 'x',
      labels: { l: '1' },
      runtime: { name: 'io.containerd.runc.v2', options: null },
      spec: { typeUrl: OCI_TYPES.spec },
    });
    expect(JSON.parse(container.spec!.value.toString())).toEqual({ ociVersion: '1.0.2' });
    expect(container.extensions['mine']!.value).toEqual(Buffer.from([1, 2]));
    expect(Math.abs(container.createdAt!.seconds - Date.now() / 1000)).toBeLessThan(60);
    await client.containers.delete({ id: 'x' });
  });

  it('gets refusals as errors that carry gRPC’s code', async () => {
    const error: unknown = await stock.client.tasks.get({ containerId: 'nobody' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(GrpcError);
    expect(isGrpcError(error, 'NotFound')).toBe(true);
    expect((error as Error).message).toMatch(/^tasks\.get: NotFound: /);
  });

  it('writes a blob by pieces and reads it back', async () => {
    const { content } = stock.client;
    const data = randomBytes(3_000_000);
    const digest = `sha256:${createHash('sha256').update(data).digest('hex')}`;
    // Without a lease or a label containerd's garbage collector may take it at once.
    const write = content.write();
    const half = data.length / 2;
    await write.send({ action: 'WRITE', ref: 'r', total: data.length, data: data.subarray(0, half) });
    expect(await write.next()).toMatchObject({ action: 'WRITE', offset: half });
    await write.send({ action: 'WRITE', offset: half, data: data.subarray(half) });
    await write.next();
    await write.send({
      action: 'COMMIT',
      offset: data.length,
      total: data.length,
      expected: digest,
      labels: { 'containerd.io/gc.root': 'now' },
    });
    expect(await write.next()).toMatchObject({ action: 'COMMIT', digest });
    write.end();

    const parts: Buffer[] = [];
    for await (const part of content.read({ digest })) parts.push(part.data);
    expect(Buffer.concat(parts).equals(data)).toBe(true);
    const listed: string[] = [];
    for await (const { info } of content.list({})) listed.push(...info.map((i) => i.digest));
    expect(listed).toContain(digest);
    await content.delete({ digest });
  });

  it('follows events until it is told to stop', async () => {
    const { client } = stock;
    const stop = new AbortController();
    const events = client.events.subscribe({ filters: ['topic~="/containers/"'] }, { signal: stop.signal });
    // containerd does not say when a subscription has begun: go on making events until one comes.
    const making = setInterval(() => {
      const id = `e${randomBytes(3).toString('hex')}`;
      client.containers
        .create({ container: { id, runtime: { name: 'x' }, spec: jsonAny(OCI_TYPES.spec, {}) } })
        .then(() => client.containers.delete({ id }))
        .catch(() => undefined);
    }, 50);
    const error: unknown = await (async () => {
      for await (const { topic, namespace: from, event } of events) {
        expect(from).toBe(namespace);
        const decoded = decodeEvent(event)!;
        expect(decoded.type).toBe(topic === '/containers/create' ? 'ContainerCreate' : 'ContainerDelete');
        clearInterval(making);
        stop.abort();
      }
    })().catch((e: unknown) => e);
    clearInterval(making);
    expect(error).toMatchObject({ code: CODES.Canceled });
  });

  it('says Unavailable, and where it looked, when nobody listens', async () => {
    const client = connectContainerd('/tmp/06c-nobody.sock', namespace);
    await expect(client.version.version({})).rejects.toMatchObject({ code: 14 });
    await expect(client.ready(100)).rejects.toThrow('/tmp/06c-nobody.sock');
    client.close();
  });
});
