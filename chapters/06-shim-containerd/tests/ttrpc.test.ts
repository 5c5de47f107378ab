import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CODE, connectTtrpc, serveTtrpc, TtrpcError } from '../ttrpc.ts';
import { encodeFrame, frameDecoder } from '../ttrpc-frame.ts';
import { taskServiceType, type TaskService } from '../task-api.ts';

describe('frame', () => {
  test('has ten bytes of header: length, stream, type, flags', () => {
    const frame = encodeFrame({ stream: 0x01020304, type: 2, flags: 5, payload: Buffer.from('abc') });
    expect(frame.toString('hex')).toBe('00000003' + '01020304' + '02' + '05' + '616263');
  });

  test('is put together again from any pieces', () => {
    const frames = ['', 'one', 'x'.repeat(300)].map((text, i) => ({
      stream: 2 * i + 1,
      type: 1,
      flags: 0,
      payload: Buffer.from(text),
    }));
    const bytes = Buffer.concat(frames.map(encodeFrame));
    for (const size of [1, 7, 10, 13, bytes.length]) {
      const decode = frameDecoder();
      const got = [];
      for (let at = 0; at < bytes.length; at += size) got.push(...decode(bytes.subarray(at, at + size)));
      expect(got.map((f) => [f.stream, f.payload.toString()])).toEqual(
        frames.map((f) => [f.stream, f.payload.toString()]),
      );
    }
  });

  test('of more than 4 MiB is refused on both sides', () => {
    const payload = Buffer.alloc((4 << 20) + 1);
    expect(() => encodeFrame({ stream: 1, type: 1, flags: 0, payload })).toThrow('4194305 bytes');
    const header = Buffer.alloc(10);
    header.writeUInt32BE(payload.length);
    expect(() => frameDecoder()(header)).toThrow('4194305 bytes');
  });
});

describe('calls', () => {
  let dir: string;
  let server: Server;
  let path: string;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'shim-ttrpc-'));
    path = join(dir, 's');
    server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
  });
  afterEach(() => {
    server.close();
    rmSync(dir, { recursive: true });
  });

  test('run side by side, carry messages and metadata, and answer errors by code', async () => {
    let release = (): void => undefined;
    serveTtrpc(server, [
      {
        service: taskServiceType(),
        functions: {
          wait: () => new Promise((resolve) => (release = () => resolve({ exitStatus: 7 }))),
          start: async (request: { id: string; execId: string }, { metadata }) => {
            if (request.id === 'none') throw new TtrpcError(CODE.NOT_FOUND, 'no such container');
            if (request.id === 'bad') throw new Error('plain');
            return { pid: Number(metadata['pid']) };
          },
        },
      },
    ]);
    const connection = await connectTtrpc(`unix://${path}`);
    const task = connection.client<TaskService>(taskServiceType(), { metadata: { pid: '42' } });
    const waiting = task.wait({ id: 'a' });
    expect(await task.start({ id: 'a' })).toEqual({ pid: 42 });
    release();
    expect(await waiting).toEqual({ exitStatus: 7, exitedAt: null });
    await expect(task.start({ id: 'none' })).rejects.toMatchObject({
      code: CODE.NOT_FOUND,
      message: 'no such container',
    });
    await expect(task.start({ id: 'bad' })).rejects.toMatchObject({ code: CODE.UNKNOWN, message: 'plain' });
    await expect(task.pause({ id: 'a' })).rejects.toMatchObject({ code: CODE.UNIMPLEMENTED });
    connection.close();
    await connection.closed;
  });

  test('that are open when the connection ends are rejected, and so are later ones', async () => {
    server.on('connection', (socket) => socket.once('data', () => socket.destroy()));
    const connection = await connectTtrpc(path);
    const task = connection.client<TaskService>(taskServiceType());
    await expect(task.state({ id: 'a' })).rejects.toMatchObject({ code: CODE.UNAVAILABLE });
    await connection.closed;
    await expect(task.state({ id: 'a' })).rejects.toMatchObject({ code: CODE.UNAVAILABLE });
  });

  test('without an answer in time are rejected', async () => {
    server.on('connection', () => undefined);
    const connection = await connectTtrpc(path);
    const task = connection.client<TaskService>(taskServiceType(), { timeout: 30 });
    await expect(task.state({ id: 'a' })).rejects.toMatchObject({ code: CODE.DEADLINE_EXCEEDED });
    connection.close();
  });

  test('in broken frames end the connection', async () => {
    serveTtrpc(server, []);
    const socket = connect(path);
    socket.on('error', () => undefined);
    socket.write(Buffer.alloc(10, 0xff));
    await new Promise((resolve) => socket.once('close', resolve));
  });
});
