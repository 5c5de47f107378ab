import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../01-processes/tests/until.ts';
import { openHttp, readBody } from '../registry-http.ts';
import { scratch } from './scratch.ts';

/** Answers when the folder has a file `go`, and makes one when the answer is on its way. */
const SERVER = `const { existsSync, writeFileSync } = require('fs');
process.chdir(process.argv[1]);
require('http').createServer((_, response) => {
  writeFileSync('asked', '');
  const timer = setInterval(() => {
    if (!existsSync('go')) return;
    clearInterval(timer);
    response.end('here', () => writeFileSync('answered', ''));
  }, 5);
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); })`;

test('an answer that waits while this process stands still is no stall', async () => {
  const dir = scratch();
  const has = (name: string): boolean => existsSync(join(dir, name));
  const server = spawn(process.execPath, ['-e', SERVER, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  });
  const ended = once(server, 'exit');
  const http = openHttp({ stall: 2000 });
  try {
    const [port] = (await once(server.stdout, 'data')) as [Buffer];
    const sent = http.send({ method: 'GET', url: new URL(`http://127.0.0.1:${Number(port)}/`) });
    sent.catch(() => undefined);
    await expect.poll(() => has('asked'), { interval: 5, timeout: 20_000 }).toBe(true);
    await stat(dir); // the turn in which Node hears of files and sockets: timers are next
    const began = performance.now();
    writeFileSync(join(dir, 'go'), '');
    until(
      'it has answered, and more time has passed',
      () => has('answered') && performance.now() > began + 3000,
    );
    expect(String(await readBody(await sent, 100))).toBe('here');
  } finally {
    http.close();
    server.kill('SIGKILL');
    await ended;
  }
});
