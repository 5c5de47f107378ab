import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openPty } from '../../01-processes/index.ts';
import { readFrom } from '../stdio-pump.ts';

test('of a terminal whose last program has left everything is read, and then it ends, once', async () => {
  const { master, slavePath } = openPty();
  const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
  const line = 'l'.repeat(98);
  for (let i = 0; i < 80; i++) writeSync(slave, `${line}\n`); // 8 kB: no terminal holds much more
  closeSync(slave);
  let text = '';
  let ends = 0;
  const source = readFrom(
    master,
    'terminal',
    (data) => (text += data.toString()),
    () => ends++,
  );
  try {
    await expect.poll(() => ends, { timeout: 20_000 }).toBe(1);
    expect(text).toBe(`${line}\r\n`.repeat(80));
  } finally {
    source.close();
  }
  expect(ends).toBe(1);
});
