import { execFileSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startClient, startTestEngine, type TestEngine } from './harness.ts';

let t: TestEngine;
beforeAll(async () => void (t = await startTestEngine()));
afterAll(() => t?.stop());

describe('on the bridge', () => {
  test('a container reaches another by its address', () => {
    const name = t.name();
    t.mydocker([
      'run',
      '-d',
      '--name',
      name,
      'busybox',
      'sh',
      '-c',
      'echo found > /index.html; httpd -f -p 80 -h /',
    ]);
    const { IPAddress } = t.inspect(name).NetworkSettings;
    expect(IPAddress).toMatch(/^10\./);
    const { stdout } = t.mydocker([
      'run',
      '--rm',
      'busybox',
      'sh',
      '-c',
      `for i in $(seq 200); do wget -q -O - http://${IPAddress}/ && exit; sleep 0.1; done`,
    ]);
    expect(stdout).toBe('found\n');
    t.type(`rm -f ${name}`);
  });

  test('a container reaches the host by the gateway', async () => {
    const name = t.name();
    t.type(`run -d --name ${name} busybox sleep 1000`);
    const { Gateway } = t.inspect(name).NetworkSettings;
    const server: Server = createServer((_request, response) => response.end('the host'));
    await new Promise<void>((resolve) => server.listen(0, Gateway, resolve));
    const { port } = server.address() as { port: number };
    // The server answers from this process, so the client must not block it.
    const { output, closed } = startClient(t.engine, [
      'exec',
      name,
      'wget',
      '-q',
      '-O',
      '-',
      `http://${Gateway}:${port}/`,
    ]);
    expect(await closed, output.err).toBe(0);
    expect(output.out).toBe('the host');
    server.close();
    t.type(`rm -f ${name}`);
  });

  test('each container has an address of its own, and a default route', () => {
    const names = [t.name(), t.name()];
    for (const name of names) t.type(`run -d --name ${name} busybox sleep 1000`);
    const [a, b] = names.map((name) => t.inspect(name).NetworkSettings);
    expect(a!.IPAddress).not.toBe(b!.IPAddress);
    expect(t.type(`exec ${names[0]} ip route`).stdout).toContain(`default via ${a!.Gateway} dev eth0`);
    t.type(`rm -f ${names.join(' ')}`);
  });

  test('a removed container’s link is gone from the host', () => {
    const name = t.name();
    t.type(`run -d --name ${name} busybox sleep 1000`);
    // The container's link knows the number of its peer, which no other link will have.
    const peer = Number(t.type(`exec ${name} cat /sys/class/net/eth0/iflink`).stdout);
    const links = (): { ifindex: number }[] =>
      JSON.parse(execFileSync('ip', ['-j', 'link'], { encoding: 'utf8' })) as { ifindex: number }[];
    expect(links()).toContainEqual(expect.objectContaining({ ifindex: peer }));
    t.type(`rm -f ${name}`);
    expect(links()).not.toContainEqual(expect.objectContaining({ ifindex: peer }));
  });
});

test('--network container:NAME joins another container’s network', () => {
  const name = t.name();
  t.type(`run -d --name ${name} busybox sleep 1000`);
  const { IPAddress } = t.inspect(name).NetworkSettings;
  const { stdout } = t.mydocker([
    'run',
    '--rm',
    '--network',
    `container:${name}`,
    'busybox',
    'ip',
    '-4',
    'addr',
    'show',
    'eth0',
  ]);
  expect(stdout).toContain(IPAddress);
  t.type(`rm -f ${name}`);
});
