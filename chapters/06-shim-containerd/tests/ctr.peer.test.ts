import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeBaseImage } from '../../04-overlayfs/index.ts';
import { eventAny } from '../api.ts';
import { startEngine, until, type Engine } from './mycontainerd-harness.ts';

const IMAGE = 'docker.io/library/busybox:latest';

describe('stock ctr on mycontainerd', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
    await makeBaseImage({ out: join(engine.directory, 'base.tar') });
    await ctr('images', 'import', join(engine.directory, 'base.tar'));
  });
  afterAll(() => engine.destroy());

  interface Result {
    status: number;
    stdout: string;
    stderr: string;
  }
  const tryCtr = (...args: string[]): Promise<Result> =>
    new Promise((resolve) =>
      execFile(
        'ctr',
        ['-a', engine.address, '-n', engine.name, ...args],
        { timeout: 30_000 },
        (error, stdout, stderr) => resolve({ status: error ? Number(error.code ?? -1) : 0, stdout, stderr }),
      ),
    );
  async function ctr(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await tryCtr(...args);
    if (status !== 0) throw new Error(`ctr ${args.join(' ')}: ${status}: ${stderr}`);
    return stdout;
  }

  /** A stock shim closes its connection a moment before it has ended. */
  async function expectNothingLeft(id: string): Promise<void> {
    await until('nothing is left', () => engine.leftovers(id).length === 0).catch(() => undefined);
    expect(engine.leftovers(id)).toEqual([]);
  }

  it('asks version and plugins, and lists namespaces', async () => {
    expect(await ctr('version')).toMatch(/Server:\n {2}Version: {2}0\.1\.0/);
    expect(await ctr('plugins', 'ls')).toContain('overlayfs');
    expect(await ctr('namespaces', 'ls')).toContain(engine.name);
    await ctr('namespaces', 'label', engine.name, 'a=b');
    expect(await ctr('namespaces', 'ls')).toContain('a=b');
  });

  it('imports an image: blobs, labels for the garbage collector, a snapshot by chain id; and exports it again', async () => {
    expect(await ctr('images', 'ls')).toContain(IMAGE);
    expect(await ctr('images', 'check')).toMatch(/complete \(\d+\/\d+\)/);
    expect(await ctr('content', 'ls')).toContain('containerd.io/gc.ref.content.config');
    expect(await ctr('snapshots', 'ls')).toMatch(/sha256:[0-9a-f]{64}\s+Committed/);
    const exported = join(engine.directory, 'exported.tar');
    await ctr('images', 'export', exported, IMAGE);
    expect(existsSync(exported)).toBe(true);
    await ctr('images', 'tag', IMAGE, 'example.org/other:1');
    await ctr('images', 'label', 'example.org/other:1', 'x=y');
    expect(await ctr('images', 'ls', 'name~=other')).toContain('x=y');
    await ctr('images', 'rm', 'example.org/other:1');
  });

  for (const runtime of ['io.containerd.runc.v2', 'io.containerd.myrunc.v2'])
    describe(`with ${runtime}`, () => {
      const run = (...args: string[]): string[] => ['run', '--runtime', runtime, ...args];
      const id = runtime.includes('myrunc') ? 'mine' : 'stock';

      it('runs a container and gives its output and exit status', async () => {
        expect(await ctr(...run('--rm', IMAGE, id, 'echo', 'hello'))).toBe('hello\n');
        expect((await tryCtr(...run('--rm', IMAGE, id, 'sh', '-c', 'exit 7'))).status).toBe(7);
        expect(await ctr('containers', 'ls')).not.toContain(id);
        await expectNothingLeft(id);
      });

      it('keeps one in the background: ls, exec, ps, metrics, pause, kill, rm; and sees it all as events', async () => {
        const events = spawn('ctr', ['-a', engine.address, 'events'], {
          stdio: ['ignore', 'pipe', 'ignore'],
        });
        let seen = '';
        events.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
        try {
          await until('it hears of events', async () => {
            const event = eventAny('NamespaceUpdate', { name: engine.name });
            await engine.client.events.publish({ topic: '/namespaces/update', event });
            return seen.includes('/namespaces/update');
          });
          await ctr(...run('-d', IMAGE, id, 'sleep', '1000'));
          expect(await ctr('tasks', 'ls')).toMatch(new RegExp(`${id}\\s+\\d+\\s+RUNNING`));
          expect(await ctr('tasks', 'exec', '--exec-id', 'e', id, 'echo', 'in')).toBe('in\n');
          expect((await tryCtr('tasks', 'exec', '--exec-id', 'e', id, 'sh', '-c', 'exit 4')).status).toBe(4);
          expect(await ctr('tasks', 'ps', id)).toMatch(/\d+/);
          expect(await ctr('tasks', 'metrics', id)).toContain('memory');
          expect(JSON.parse(await ctr('containers', 'info', id))).toMatchObject({
            ID: id,
            Image: IMAGE,
            Runtime: { Name: runtime },
            Snapshotter: 'overlayfs',
          });
          await ctr('tasks', 'pause', id);
          expect(await ctr('tasks', 'ls')).toMatch(new RegExp(`${id}\\s+\\d+\\s+PAUSED`));
          await ctr('tasks', 'resume', id);
          expect((await tryCtr('containers', 'rm', id)).stderr).toContain('cannot delete');
          await ctr('tasks', 'kill', '-s', 'KILL', id);
          await until('it has stopped', async () => (await ctr('tasks', 'ls')).includes('STOPPED'));
          await tryCtr('tasks', 'rm', id);
          await ctr('containers', 'rm', id);
          await expectNothingLeft(id);
          await until('the last event', () => seen.includes('/containers/delete'));
        } finally {
          events.kill();
        }
        const topics = seen.split('\n').map((line) => / (\/\S+)/.exec(line)?.[1] ?? '');
        expect(topics.filter((topic) => topic.startsWith('/tasks/'))).toEqual([
          '/tasks/create',
          '/tasks/start',
          ...['e', 'e'].flatMap(() => ['/tasks/exec-added', '/tasks/exec-started', '/tasks/exit']),
          '/tasks/paused',
          '/tasks/resumed',
          '/tasks/exit',
          '/tasks/delete',
        ]);
      });
    });

  it('leaves nothing of an image that is removed', async () => {
    await ctr('images', 'rm', '--sync', IMAGE);
    expect(await ctr('content', 'ls', '-q')).toBe('');
    expect((await ctr('snapshots', 'ls')).trim().split('\n')).toHaveLength(1);
    await ctr('images', 'import', join(engine.directory, 'base.tar'));
  });
});
