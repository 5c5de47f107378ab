import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { listPids, readCmdline } from '../../chapters/01-processes/index.ts';

const SANDBOX = join(import.meta.dirname, '../sandbox.sh');
const folder = mkdtempSync(join(tmpdir(), 'sandbox-'));
afterAll(() => rmSync(folder, { recursive: true }));

const inside = (script: string) =>
  spawnSync('bash', [SANDBOX, folder, 'sh', '-c', script], { encoding: 'utf8' });

test.each([tmpdir(), homedir(), '/etc', '/run', join(import.meta.dirname)])(
  '%s can be read in there, and not written, by root neither',
  (place) => {
    const file = join(place, `probe-${randomBytes(5).toString('hex')}`);
    const { status, stderr } = inside(`ls '${place}' >/dev/null && echo x >'${file}'`);
    expect(status).not.toBe(0);
    expect(stderr).toContain('Read-only file system');
    expect(existsSync(file)).toBe(false);
  },
);

test('the folder that it is given can be written, and /dev/shm is a place of its own', () => {
  const word = randomBytes(5).toString('hex');
  expect(inside(`echo ${word} >'${folder}/said' && echo ${word} >/dev/shm/${word}`).stderr).toBe('');
  expect(readFileSync(join(folder, 'said'), 'utf8')).toBe(`${word}\n`);
  expect(existsSync(`/dev/shm/${word}`)).toBe(false);
});

test('the mounts of who starts it are as before', () => {
  // Of a shell in a mount namespace of its own, cut off from the machine's, where others mount too; what it has itself spreads as there.
  const look = 'cat /proc/self/mountinfo';
  const script = `mount --make-rshared / && ${look} && echo =; bash '${SANDBOX}' '${folder}' true; echo =; ${look}`;
  const { stdout } = spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
    encoding: 'utf8',
  });
  const [before, said, after] = stdout.split('=\n');
  expect(before).toContain(' shared:');
  expect([said, after]).toEqual(['', before]);
});

test('who ends it ends all that was started in it', async () => {
  const seconds = String(1_000_000 + Math.floor(Math.random() * 1_000_000));
  const sleepers = (): number[] => listPids().filter((pid) => readCmdline(pid)?.includes(seconds));
  const child = spawn('bash', [SANDBOX, folder, 'sh', '-c', `setsid sleep ${seconds} & echo up; wait`]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  while (sleepers().length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await closed;
  while (sleepers().length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
});
