import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMountinfo } from '../../chapters/01-processes/index.ts';
import { docker, startBesideDocker, type BesideDocker } from './beside-docker.ts';

/** `docker cp` with what is mounted into a container that does not run: by dockerd and by mydockerd, by the same client. */
let both: BesideDocker;
const at = (name: string): string => join(both.dir, name);
const SIDES = ['theirs', 'ours'] as const;

const script = `mkdir -p /etc/deep /data/sub; echo root > /etc/deep/file; echo inner > /data/in; echo 1 > /data/sub/one
  ln -s /data/in /link; ln -s link /link2; ln -s /data /dirlink; ln -s ../../../outside /climb; ln -s loop /loop`;

beforeAll(async () => {
  both = await startBesideDocker();
  mkdirSync(at('tree/sub'), { recursive: true });
  writeFileSync(at('tree/file'), 'from outside');
  writeFileSync(at('tree/sub/more'), 'more');
  chmodSync(at('tree/file'), 0o640);
  symlinkSync('file', at('tree/link'));
  for (const [index, host] of both.hosts.entries()) {
    const bind = at(`bind-${SIDES[index]}`);
    mkdirSync(bind);
    writeFileSync(join(bind, 'bound'), 'of the host');
    const mounts = [
      ...['-v', 'one:/data', '-v', 'two:/data/inner', '-v', `${bind}:/bind:ro`, '-v', `${bind}:/wbind`],
      ...['--tmpfs', '/tmpfs', '--network', 'none'],
    ];
    const done = await docker(host, ['run', '--name', 'cc', ...mounts, 'busybox', 'sh', '-c', script]);
    expect(done).toMatchObject({ status: 0, stderr: '' });
    await docker(host, ['create', '--name', 'never', ...mounts, 'busybox', 'true']);
    await docker(host, ['create', '--name', 'ro', '--read-only', ...mounts, 'busybox', 'true']);
  }
}, 120_000);
afterAll(() => both?.stop());

/** Runs a command at both; `SIDE` in it is each one's own place. What it prints and its status are compared, ids and places aside. */
async function same(...args: string[]): Promise<void> {
  const outcomes = await Promise.all(
    both.hosts.map(async (host, index) => {
      const side = SIDES[index]!;
      const outcome = await docker(
        host,
        args.map((arg) => arg.replace('SIDE', side)),
      );
      const plain = (text: string): string =>
        text
          // The client says what it could not send any more, if it comes to that.
          .replace(/^time=.* level=error .*\n/gm, '')
          .replaceAll(side, 'SIDE')
          .replace(/[0-9a-f]{64}/g, 'ID')
          .replace(/Successfully copied .* (to|from)/, 'copied $1')
          .replaceAll(join(both.dir, 'docker'), 'DATA')
          .replaceAll(both.ours.root, 'DATA');
      return { status: outcome.status, stdout: plain(outcome.stdout), stderr: plain(outcome.stderr) };
    }),
  );
  expect({ args, ...outcomes[1] }).toEqual({ args, ...outcomes[0] });
}

/** A folder on the host as one list: kinds, modes, names, what links say and files hold. */
function listing(folder: string): string {
  const script = `cd "$0" && find . -printf '%y %m %P %l\\n' | sort && find . -type f | sort | xargs -r cat`;
  return execFileSync('sh', ['-c', script, folder], { encoding: 'utf8' });
}

/** Copies out at both, each to a folder of its own, and compares what came. */
async function sameOut(path: string, container = 'cc'): Promise<string> {
  for (const side of SIDES) {
    rmSync(at(`out-${side}`), { recursive: true, force: true });
    mkdirSync(at(`out-${side}`));
  }
  await same('cp', `${container}:${path}`, at('out-SIDE/'));
  expect(listing(at('out-ours'))).toEqual(listing(at('out-theirs')));
  return listing(at('out-ours'));
}

/** What a HEAD says of a path. */
async function stats(container: string, path: string): Promise<object[]> {
  return Promise.all(
    both.hosts.map(
      (host) =>
        new Promise<object>((resolve, reject) => {
          const call = request(
            {
              socketPath: host.replace('unix://', ''),
              method: 'HEAD',
              path: `/v1.41/containers/${container}/archive?path=${encodeURIComponent(path)}`,
              timeout: 20_000,
            },
            (response) => {
              const text = response.headers['x-docker-container-path-stat'] as string | undefined;
              const found = JSON.parse(Buffer.from(text ?? 'bnVsbA==', 'base64').toString()) as {
                mtime: string;
                size: number;
              } | null;
              response.resume();
              const { mtime, size, ...rest } = found ?? { mtime: '', size: 0 };
              // A directory has the size that its filesystem gives it.
              resolve({
                status: response.statusCode,
                ...rest,
                isRecent: mtime > '2020',
                isEmpty: size === 0,
              });
            },
          );
          call.on('error', reject).end();
        }),
    ),
  );
}

describe('a container that has stopped', { timeout: 240_000 }, () => {
  test('out of a volume, of one inside it, of a bind, of the files that the daemon has written', async () => {
    expect(await sameOut('/data/in')).toContain('inner');
    expect(await sameOut('/data')).toContain('sub/one');
    expect(await sameOut('/data/.')).toContain('inner');
    expect(await sameOut('/bind/bound')).toContain('of the host');
    expect(await sameOut('/wbind')).toContain('bound');
    expect(await sameOut('/etc/deep')).toContain('root');
    await sameOut('/tmpfs');
    await sameOut('/etc/hosts');
    await sameOut('/link');
    await sameOut('/dirlink/in');
  });

  test('into a volume, of one inside it, a bind, a directory that a link leads to', async () => {
    for (const path of [
      '/data',
      '/data/inner',
      '/data/new',
      '/wbind',
      '/dirlink',
      '/dirlink/',
      '/etc/deep/x',
      '/tmpfs',
    ])
      await same('cp', at('tree'), `cc:${path}`);
    await same('cp', at('tree/file'), 'cc:/data/in');
    await same('cp', at('tree/file'), 'cc:/link');
    await same('cp', at('tree/file'), 'cc:/link2');
    for (const path of ['/data', '/wbind', '/etc/deep', '/tmpfs']) await sameOut(path);
    expect(await sameOut('/data')).toContain('from outside');
    expect(readFileSync(at('bind-ours/tree/file'), 'utf8')).toBe('from outside');
    // It is in the volume itself: another container sees it.
    const seen = await docker(both.hosts[1], [
      ...['run', '--rm', '--network', 'none', '-v', 'one:/v', '-v', 'two:/w', 'busybox'],
      ...['sh', '-c', 'cat /v/tree/file /w/tree/file'],
    ]);
    expect(seen.stdout).toBe('from outside'.repeat(2));
  });

  test('what cannot be: the same words, the same status', async () => {
    const [file, tree] = [at('tree/file'), at('tree')];
    for (const [from, to] of [
      [file, 'cc:/bind'],
      [file, 'cc:/bind/bound'],
      [tree, 'cc:/bind/new'],
      [file, 'ro:/etc'],
      [file, 'ro:/tmpfs'],
      [file, 'cc:/none/file'],
      [file, 'cc:/data/none/'],
      [file, 'cc:/data/in/x'],
      [tree, 'cc:/data/in'],
      [tree, 'cc:/etc/deep/file/x'],
      [at('nosuch'), 'cc:/data'],
      ['cc:/none', at('out-SIDE')],
      ['cc:/data/none', at('out-SIDE')],
      ['cc:/data', at('none/none')],
      ['nobody:/x', at('out-SIDE')],
    ] as const)
      await same('cp', from, to);
    // Below a file: dockerd says ENOTDIR of a path of its own, we that nothing is there.
    for (const host of both.hosts)
      expect((await docker(host, ['cp', 'cc:/data/in/', at('out')])).status).toBe(1);
    await same('cp', file, 'ro:/data');
    await sameOut('/data', 'ro');
  });

  test('what HEAD says of each kind', async () => {
    for (const path of [
      '/data',
      '/data/',
      '/data/in',
      '/bind',
      '/link',
      '/link2',
      '/dirlink',
      '/dirlink/in',
      '/',
      '.',
    ])
      expect([path, (await stats('cc', path))[1]]).toEqual([path, (await stats('cc', path))[0]]);
    for (const path of ['/none', '/climb', '/tmpfs', '/etc/deep/../deep/file'])
      expect([path, (await stats('cc', path))[1]]).toEqual([path, (await stats('cc', path))[0]]);
  });

  test('one that never ran has its volumes, too', async () => {
    await same('cp', at('tree'), 'never:/data/inner/of-never');
    expect(await sameOut('/data/inner', 'never')).toContain('of-never/sub/more');
    // Nothing is written there before it runs: the empty file on which it will be bound.
    await same('cp', 'never:/etc/hosts', at('out-SIDE'));
    expect(readFileSync(at('out-ours/hosts'), 'utf8')).toBe('');
  });

  test('nothing stays mounted', () => {
    const volumes = join(both.ours.engine.dataRoot, 'volumes');
    const left = readMountinfo('self')!.filter(({ root, mountPoint }) =>
      (root + mountPoint).includes(volumes),
    );
    expect(left).toEqual([]);
  });
});
