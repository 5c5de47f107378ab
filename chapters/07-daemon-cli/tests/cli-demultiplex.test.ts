import { expect, test } from 'vitest';
import { demultiplex } from '../cli-demultiplex.ts';
import { frame } from './fake-daemon.ts';

async function collect(bytes: Buffer, chunk: number): Promise<{ stdout: string; stderr: string }> {
  const all = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const chunks = (async function* () {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  })();
  for await (const { stream, data } of demultiplex(chunks)) all[stream].push(data);
  return {
    stdout: Buffer.concat(all.stdout).toString('latin1'),
    stderr: Buffer.concat(all.stderr).toString('latin1'),
  };
}

const said = Buffer.concat([
  frame(1, 'one\n'),
  frame(2, 'two\n'),
  frame(1, Buffer.from([0, 255, 10, 1])),
  frame(2, ''),
  frame(1, 'three'),
]);

test('gives each frame to its stream, however the transport cuts it', async () => {
  for (const size of [1, 2, 3, 7, 8, 9, 11, 64, 1000])
    expect(await collect(said, size)).toEqual({ stdout: 'one\n\0\xff\n\x01three', stderr: 'two\n' });
});

test('gives on the beginning of a frame before its end has come', async () => {
  const half = frame(1, 'x'.repeat(10)).subarray(0, 12);
  const seen: string[] = [];
  const endless = (async function* () {
    yield half;
    expect(seen).toEqual(['xxxx']);
    yield Buffer.from('yyyyyy');
  })();
  for await (const { data } of demultiplex(endless)) seen.push(data.toString());
  expect(seen).toEqual(['xxxx', 'yyyyyy']);
});

test('an end in the middle of a frame is an error, and no shorter output', async () => {
  await expect(collect(said.subarray(0, -1), 100)).rejects.toThrow('ended in the middle of a frame');
  await expect(collect(said.subarray(0, 5), 100)).rejects.toThrow('ended in the middle of a frame');
});

test("the daemon's own errors come as a third stream", async () => {
  await expect(collect(frame(3, 'the log is damaged'), 4)).rejects.toThrow(
    'error from daemon in stream: the log is damaged',
  );
});

test('bytes that are no frame are refused', async () => {
  await expect(collect(Buffer.from('hello, world'), 100)).rejects.toThrow('unrecognized stream 104');
});
