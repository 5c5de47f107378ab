import { spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';

// In a machine whose first process is systemd, as the Vagrant machine's is.

const WORKSHOP = join(import.meta.dirname, '../..');

const run = (program: string, ...args: string[]): string => {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  expect(status, `${program} ${args.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
};

test('systemd is process 1, and the only tree of cgroups is its own, of version 2', () => {
  expect(readFileSync('/proc/1/comm', 'utf8')).toBe('systemd\n');
  expect(readFileSync('/proc/1/cgroup', 'utf8')).toBe('0::/init.scope\n');
  const trees = readFileSync('/proc/mounts', 'utf8').match(/^\S+ \S+ cgroup2? .*$/gm) ?? [];
  expect(trees.map((line) => line.split(' ').slice(1, 3))).toEqual([['/sys/fs/cgroup', 'cgroup2']]);
});

test('a scope of systemd’s is a cgroup with the limits that were asked for, and goes with its processes', async () => {
  const megabytes = randomInt(20, 90);
  const unit = `vm-${randomBytes(4).toString('hex')}.scope`;
  const script = 'c=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); echo $c; cat $c/memory.max $c/pids.max';
  const words = ['--scope', '-q', `--unit=${unit}`, '-p', `MemoryMax=${megabytes}M`, '-p', 'TasksMax=77'];
  const [cgroup, memory, pids] = run('systemd-run', ...words, 'sh', '-c', script)
    .trim()
    .split('\n');
  expect(cgroup).toBe(`/sys/fs/cgroup/system.slice/${unit}`);
  expect(memory).toBe(String(megabytes * 1024 * 1024));
  expect(pids).toBe('77');
  // systemd removes it when it has heard that it is empty.
  await expect.poll(() => existsSync(cgroup!), { timeout: 60_000 }).toBe(false);
});

test('provisioning publishes the pages: what arrives at the outer address reaches 127.0.0.1', async () => {
  const address = `192.168.${randomInt(1, 250)}.2`;
  run('ip', 'link', 'add', 'outer', 'type', 'dummy');
  run('ip', 'addr', 'add', `${address}/24`, 'dev', 'outer');
  run('ip', 'link', 'set', 'outer', 'up');
  run('ip', 'route', 'add', 'default', 'dev', 'outer');
  // There is no registry to ask in here: the packages are the host's, and current.
  cpSync(join(WORKSHOP, 'package-lock.json'), join(WORKSHOP, 'node_modules/.workshop-lock'));
  const words = randomBytes(8).toString('hex');
  const pages = createServer((_, response) => response.end(words));
  await new Promise<void>((resolve) => pages.listen(8080, '127.0.0.1', resolve));
  try {
    const first = run('bash', join(WORKSHOP, 'vagrant/provision.sh'), WORKSHOP);
    expect(first).toContain(`pages: ${address}:8080 leads to 127.0.0.1:8080`);
    expect(await read(`http://${address}:8080/`)).toBe(words);
    expect(run('systemctl', 'is-enabled', 'workshop-pages.socket')).toBe('enabled\n');
    expect(run('bash', join(WORKSHOP, 'vagrant/provision.sh'), WORKSHOP)).not.toContain('pages:');
  } finally {
    pages.close();
    run('ip', 'link', 'delete', 'outer');
  }
});

const read = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    get(url, (response) => {
      let text = '';
      response.on('data', (data: Buffer) => (text += data.toString()));
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
