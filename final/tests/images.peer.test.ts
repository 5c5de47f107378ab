import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { docker, startBesideDocker, type BesideDocker } from './beside-docker.ts';
import type { Outcome } from './harness.ts';

/** Images by dockerd and by mydockerd: the same commands of the same client, what it prints and its status compared. */
let both: BesideDocker;
const at = (name: string): string => join(both.dir, name);

beforeAll(async () => {
  both = await startBesideDocker();
  mkdirSync(at('files'));
  writeFileSync(at('files/a'), 'a');
  execFileSync('tar', ['-cf', at('files.tar'), '-C', at('files'), '.']);
  writeFileSync(at('no.tar'), 'no tar');
  mkdirSync(at('context'));
  const steps = ['ENV A=b', 'COPY f /f', 'RUN echo hi > /hi', 'RUN true', 'WORKDIR /w', 'CMD ["x"]'];
  writeFileSync(at('context/Dockerfile'), ['FROM com:1', ...steps].join('\n'));
  writeFileSync(at('context/f'), 'f');
}, 120_000);
afterAll(() => both?.stop());

/** Ids that are known, each at its daemon, by what they are called in what is compared. */
const called = new Map<string, string>();

/** What a client printed without what must differ: ids, times, sizes, the place of columns, the order of lines. */
function plain({ status, stdout, stderr }: Outcome) {
  const lines = (text: string): string[] =>
    text
      .replace(/\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b/g, (id) => called.get(id.slice(0, 12)) ?? 'ID')
      .replace(/(file|dir):[0-9a-f]+/g, '$1:DIGEST')
      .replace(/(?:\d+|Less than a|About a|An?) (?:second|minute)s? ago/g, 'AGO')
      .replace(/\b\d+(?:\.\d+)?[kM]?B\b/g, 'SIZE')
      // So in dockerd up to 22.
      .replace('Invalid filter', 'invalid filter')
      .replace(/ +/g, ' ')
      .split('\n')
      .sort();
  return { status, stdout: lines(stdout), stderr: lines(stderr) };
}

/** Runs a command at both, and compares. Gives what each printed, dockerd's first. */
async function same(...args: string[]): Promise<[string, string]> {
  const [theirs, ours] = [await docker(both.hosts[0], args), await docker(both.hosts[1], args)];
  expect({ args, ...plain(ours) }).toEqual({ args, ...plain(theirs) });
  return [theirs.stdout, ours.stdout];
}

/** The same for a command that prints the id of what it made, which is called `label` from then on. */
async function made(label: string, ...args: string[]): Promise<void> {
  for (const host of both.hosts) {
    const { status, stdout, stderr } = await docker(host, args);
    expect({ args, status, stderr }).toMatchObject({ status: 0 });
    const id = /[0-9a-f]{64}/.exec(stdout.trim().split('\n').at(-1)!)?.[0];
    expect(id, args.join(' ')).toBeDefined();
    called.set(id!.slice(0, 12), label);
  }
}
const quietly = async (...args: string[]): Promise<void> => {
  for (const host of both.hosts) await docker(host, args);
};

interface Inspected extends Record<string, unknown> {
  Config: object;
  ContainerConfig: object;
}
/** `image inspect`, with the ids that are known by their names. */
async function inspected(image: string): Promise<[Inspected, Inspected]> {
  const [theirs, ours] = await Promise.all(
    both.hosts.map(async (host) => {
      const { stdout } = await docker(host, ['image', 'inspect', image]);
      const text = stdout.replace(
        /\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b/g,
        (id) => called.get(id.slice(0, 12)) ?? 'ID',
      );
      return (JSON.parse(text) as [Inspected])[0];
    }),
  );
  return [theirs!, ours!];
}

/** The kinds of values, all the way down: what a program that reads them relies on. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]));
}

/** What of an image is this engine's own; the chapter says why. */
const OWN = ['Size', 'VirtualSize', 'GraphDriver', 'RepoDigests', 'Descriptor', 'DockerVersion'] as const;
const VARYING = ['Created', 'Metadata', 'Container', 'RootFS'] as const;
const without = (image: Inspected, keys: readonly string[]): object =>
  Object.fromEntries(Object.entries(image).filter(([key]) => !keys.includes(key)));

async function sameImage(image: string): Promise<void> {
  const [theirs, ours] = await inspected(image);
  expect(shape(without(ours, OWN))).toEqual(shape(without(theirs, OWN)));
  expect(without(ours, [...OWN, ...VARYING])).toEqual(without(theirs, [...OWN, ...VARYING]));
  expect(Object.keys(without(ours, ['Descriptor']))).toEqual(Object.keys(theirs));
  const layers = (one: Inspected): number => (one['RootFS'] as { Layers: string[] }).Layers.length;
  expect(layers(ours)).toBe(layers(theirs));
}

// One after the other on what the ones before have made, as a person would.
describe('images', { timeout: 240_000 }, () => {
  test('tag, images with every filter, inspect and history of what was loaded', async () => {
    for (const tag of ['app:1', 'app:2', 'other/app:1']) await same('tag', 'busybox', tag);
    await same('images');
    await same('images', '-a', '--no-trunc');
    await same('images', '-q');
    for (const name of ['app', 'app:1', 'app*', 'a*:1', '*/app', '**/app', 'nosuch', 'App', '['])
      await same('images', name);
    for (const filter of [
      ...['reference=app:1', 'reference=other/*', 'dangling=true', 'dangling=false', 'dangling=x', 'label=x'],
      ...['before=app:1', 'since=busybox', 'before=nosuch', 'since=nosuch', 'what=x', 'what'],
    ])
      await same('images', '-f', filter);
    await same(
      'images',
      '--format',
      '{{.Repository}} {{.Tag}} {{.CreatedAt}} {{.Containers}} {{.UniqueSize}}',
    );
    await same('history', 'busybox');
    await same('history', '-q', '--no-trunc', 'busybox');
    await same('history', '--format', '{{.ID}} {{.CreatedBy}} {{.CreatedAt}} {{.Comment}}', 'busybox');
    await same('history', 'nosuch');
    await sameImage('busybox');
    await same('inspect', 'nosuch');
  });

  test('a tag that cannot be', async () => {
    const digits = '1'.repeat(64);
    for (const tag of ['X', 'x:', 'x:a b', '', digits, `x@sha256:${digits}`, `sha256:${digits}`, 'sha256:x'])
      await same('tag', 'busybox', tag);
    await same('tag', 'nosuch', 'x');
    await same('rmi', 'X');
  });

  test('rmi: one name of several, by id, of what containers use', async () => {
    await made('BUSYBOX', 'image', 'inspect', '-f', '{{.Id}}', 'busybox');
    await made('CREATED', 'create', '--name', 'c1', '--network', 'none', 'busybox', 'true');
    await made('RUNNING', 'run', '-d', '--name', 'c2', '--network', 'none', 'busybox', 'sleep', '1000');
    for (const args of [['nosuch'], ['nosuch', 'busybox:none'], [`sha256:${'1'.repeat(64)}`]])
      await same('rmi', ...args);
    const [id] = [...called].find(([, label]) => label === 'BUSYBOX')!;
    await same('rmi', id);
    await same('rmi', '-f', id);
    await same('rmi', 'app:2');
    await same('rmi', 'other/app:1', 'app:1');
    await same('rmi', 'busybox');
    await same('rmi', '-f', 'busybox');
    await same('images');
    await same('ps', '-a', '--format', '{{.Names}} {{.Image}}');
    await same('tag', id, 'busybox');
    await same('ps', '-a', '--format', '{{.Names}} {{.Image}}');
  });

  test('diff and commit: the same image, the same refusals', async () => {
    const script = 'echo new > /new; mkdir /d; rm /etc/group; chmod 700 /tmp';
    await quietly('run', '--name', 'c3', '--network', 'none', 'busybox', 'sh', '-c', script);
    await made('CHANGED', 'inspect', '-f', '{{.Id}}', 'c3');
    await same('diff', 'c3');
    await same('diff', 'c1');
    await same('diff', 'nosuch');
    const changes = ['-a', 'An A', '-m', 'A msg', '-c', 'CMD ["a"]', '-c', 'LABEL k=v', '-c', 'EXPOSE 80'];
    await made('COM1', 'commit', '--pause=false', ...changes, 'c3', 'com:1');
    await made('COM2', 'commit', 'c2', 'com:2');
    await made('COM3', 'commit', 'c1', 'com:2');
    await made('COM4', 'commit', 'c1');
    for (const change of ['FROM x', 'RUN x', 'FOO x', 'COPY a b', 'ENV a', 'SHELL ["x"]'])
      await same('commit', '-c', change, 'c1');
    for (const args of [['nosuch'], ['c1', 'COM'], ['c1', `a@sha256:${'1'.repeat(64)}`]])
      await same('commit', ...args);
    for (const image of ['com:1', 'com:2']) {
      await sameImage(image);
      await same('history', '--no-trunc', image);
    }
    await same('images', '--no-trunc');
    const filters = ['label=k', 'label=k=v', 'label=k=w', 'since=busybox', 'before=com:1', 'dangling=true'];
    for (const filter of filters) await same('images', '-f', filter);
    await same('images', '-f', 'label=k', '-f', 'label=z');
    await same('rmi', 'busybox');
    await same('rmi', [...called].find(([, label]) => label === 'BUSYBOX')![0]);
  });

  test('build: every step an image of its own, seen by who asks for all', async () => {
    await quietly('build', '-q', '--network', 'none', '-t', 'built', at('context'));
    await made('BUILT', 'image', 'inspect', '-f', '{{.Id}}', 'built');
    const [theirs, ours] = await inspected('built');
    // The step before, which both have, under an id of each one's own.
    for (const image of [theirs, ours]) expect(image['Parent']).toBe('sha256:ID');
    await sameImage('built');
    await same('history', 'built');
    await same('images');
    await same('images', '-a');
    await same('images', '-f', 'dangling=true');
  });

  test('save, load, import, export', async () => {
    await same('save', '-o', '/nonexistent/x', 'busybox');
    await same('load', '-i', '/nonexistent');
    // Each reads what the other has written.
    for (const [index, host] of both.hosts.entries())
      await docker(host, ['save', '-o', at(`saved-${index}.tar`), 'busybox', 'com:1']);
    const loaded = await Promise.all(
      both.hosts.map((host, index) => docker(host, ['load', '-i', at(`saved-${1 - index}.tar`)])),
    );
    expect(plain(loaded[1]!)).toEqual(plain(loaded[0]!));
    expect(loaded[0]!.stdout).toContain('Loaded image: com:1\n');
    expect(loaded[0]!.stdout).toContain('to empty string');
    // And back: the images that were there before have their names again.
    for (const [index, host] of both.hosts.entries())
      await docker(host, ['load', '-q', '-i', at(`saved-${index}.tar`)]);
    await made('IMP1', 'import', at('files.tar'), 'imp:1');
    await made('IMP2', 'import', '-m', 'hello', '-c', 'ENV A=b', '-c', 'CMD x y', at('files.tar'), 'imp:2');
    for (const image of ['imp:1', 'imp:2']) {
      await sameImage(image);
      await same('history', '--format', '{{.CreatedBy}} {{.Comment}}', image);
    }
    await same('import', at('files.tar'), 'IMP');
    await same('import', '/nonexistent');
    await same('import', '-c', 'FROM x', at('files.tar'));
    await same('export', 'nosuch');
    // What is no tar: refused in words of each one's own.
    for (const host of both.hosts)
      for (const command of ['load', 'import']) {
        const args = command === 'load' ? ['load', '-i', at('no.tar')] : ['import', at('no.tar')];
        expect(await docker(host, args)).toMatchObject({ status: 1, stdout: '' });
      }
    for (const [index, host] of both.hosts.entries())
      await docker(host, ['export', '-o', at(`exported-${index}.tar`), 'c3']);
    const listed = [0, 1].map((index) =>
      execFileSync('tar', ['-tf', at(`exported-${index}.tar`)], { encoding: 'utf8' })
        .split('\n')
        .sort(),
    );
    // Docker makes what is inside /dev, too, under the tmpfs that will hide it.
    expect(listed[1]).toEqual(listed[0]!.filter((name) => !/^dev\/./.test(name)));
    expect(readFileSync(at('exported-1.tar')).length).toBeGreaterThan(1_000_000);
  });

  test('prune: what nothing needs, with filters, and what a build was made from with it', async () => {
    for (const filter of ['until=x', 'until=1h', 'label=zz', 'what=zz', 'label!=k'])
      await same('image', 'prune', '-f', '--filter', filter);
    await same('image', 'prune', '-f', '--filter', 'until=1h', '--filter', 'until=2h');
    await same('image', 'prune', '-f');
    await same('images');
    await same('image', 'prune', '-a', '-f', '--filter', 'label=k');
    await same('images', '-a');
    await quietly('rm', '-f', 'c1', 'c2', 'c3');
    await same('rmi', 'imp:2', 'imp:1');
    await same('rmi', 'com:2');
    await same('image', 'prune', '-a', '-f');
    await same('images', '-a');
  });

  test('an image that was removed by force goes for good with its last container', async () => {
    await quietly('load', '-i', join(both.ours.root, 'busybox.tar'));
    await quietly('create', '--name', 'last', '--network', 'none', 'busybox', 'echo', 'it starts');
    await same('rmi', '-f', 'busybox');
    await same('images', '-a');
    await same('start', '-a', 'last');
    // Of an image that is not there nothing can be made.
    for (const host of both.hosts)
      expect(await docker(host, ['commit', 'last'])).toMatchObject({ status: 1 });
    await same('rm', 'last');
    expect(snapshots()).toEqual([]);
  });
});

/** The layers that mydockerd's containerd has. */
function snapshots(): string[] {
  const address = join(both.ours.engine.execRoot, 'containerd', 'containerd.sock');
  const list = execFileSync('ctr', ['-a', address, '-n', 'mydocker', 'snapshots', 'ls'], {
    encoding: 'utf8',
  });
  return list.trim().split('\n').slice(1);
}
