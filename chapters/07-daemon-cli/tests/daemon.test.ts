import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isRunning, kill, readStatus, SIGNALS } from '../../01-processes/index.ts';
import { runTool } from '../../02-namespaces/index.ts';
import { openCgroup } from '../../03-cgroups/index.ts';
import { connectContainerd } from '../../06-shim-containerd/index.ts';
import type { ApiClient } from '../api-client.ts';
import { demoEngine, type DemoEngine } from '../demo-engine.ts';

let engine: DemoEngine;
let daemon: number;
let api: ApiClient;
beforeAll(async () => {
  engine = await demoEngine(mkdtempSync(join(tmpdir(), '07d-daemon-')));
  daemon = await engine.start();
  api = engine.client();
  (await api.request('POST', '/images/load', { body: createReadStream(engine.archive) })).resume();
  await eventually(
    'the image is there',
    async () => (await api.json<unknown[]>('GET', '/images/json')).length > 0,
  );
});
afterAll(async () => {
  for (const { Id } of await api.json<{ Id: string }[]>('GET', '/containers/json', { query: { all: true } }))
    await remove(Id);
  api.close();
  await engine.stop();
});

const remove = (id: string): Promise<void> =>
  api.json('DELETE', `/containers/${id}`, { query: { force: true, v: true } });
const inspect = (id: string) =>
  api.json<{ State: { Status: string; Pid: number; ExitCode: number; Error: string } }>(
    'GET',
    `/containers/${id}/json`,
  );
async function create(script: string, more: object = {}): Promise<string> {
  const body = { Image: 'busybox', Cmd: ['sh', '-c', script], ...more };
  return (await api.json<{ Id: string }>('POST', '/containers/create', { body })).Id;
}
const start = (id: string): Promise<unknown> => api.request('POST', `/containers/${id}/start`);
/** Asks for a start, and waits until the daemon is at it: the first that it does is to write the files of this run. */
async function begunStart(id: string): Promise<{ starting: Promise<unknown> }> {
  const hosts = join(engine.dataRoot, 'containers', id, 'hosts');
  expect(existsSync(hosts)).toBe(false);
  const starting = start(id);
  starting.catch(() => undefined);
  await eventually('the start has begun', () => existsSync(hosts), 2);
  return { starting };
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>, pause = 50): Promise<void> {
  for (const end = Date.now() + 60_000; !(await holds()); await sleep(pause))
    if (Date.now() > end) throw new Error(`it did not come about that ${what}`);
}

/** What the engine has made of the kernel and of its folders, by kind. */
async function traces(): Promise<Record<string, string[]>> {
  const containerd = connectContainerd(join(engine.execRoot, 'containerd', 'containerd.sock'), 'mydocker');
  try {
    const snapshots: string[] = [];
    for await (const { info } of containerd.snapshots.list({ snapshotter: 'overlayfs' }))
      snapshots.push(...info.map(({ name }) => name));
    return {
      links: runTool('ip', ['-o', 'link', 'show', 'master', engine.bridge]).split('\n'),
      mounts: readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(engine.execRoot)),
      records: readdirSync(join(engine.dataRoot, 'containers')),
      runs: readdirSync(join(engine.execRoot, 'containers')),
      volumes: readdirSync(join(engine.dataRoot, 'volumes')),
      snapshots: snapshots.sort(),
      containers: (await containerd.containers.list({})).containers.map(({ id }) => id),
      tasks: (await containerd.tasks.list({})).tasks.map(({ id }) => id),
    };
  } finally {
    containerd.close();
  }
}

describe('clean hands', () => {
  test('after a container’s whole life nothing is as it was not before', async () => {
    const before = await traces();
    const id = await create('sleep 1000', { Volumes: { '/data': {} }, OpenStdin: true });
    await start(id);
    const { Pid } = (await inspect(id)).State;
    await remove(id);
    expect(isRunning(Pid)).toBe(false);
    expect(await traces()).toEqual(before);
    expect(openCgroup(`/mydocker/${id}`).exists()).toBe(false);
  });

  test('after a start that failed, whatever failed, only the container is there, and says why', async () => {
    const before = await traces();
    for (const broken of [{ Cmd: ['nosuch'] }, { User: 'mallory' }, { WorkingDir: '/etc/passwd/x' }]) {
      const id = await create('true', { ...broken, OpenStdin: true });
      await expect(start(id)).rejects.toThrow();
      const { State } = await inspect(id);
      expect(State).toMatchObject({ Status: 'created', Pid: 0 });
      expect(State.Error).not.toBe('');
      expect(openCgroup(`/mydocker/${id}`).exists()).toBe(false);
      await remove(id);
      expect(await traces()).toEqual(before);
    }
  });

  test('after a create that was refused there is nothing at all', async () => {
    const before = await traces();
    const refused = [
      { HostConfig: { Binds: ['data:/x', 'rel/path:/y'] } },
      { HostConfig: { CapAdd: ['FLY'] } },
      { HostConfig: { NetworkMode: 'container:nobody' } },
      { HostConfig: { Mounts: [{ Type: 'bind', Source: '/nosuch/dir', Target: '/x' }] } },
    ];
    for (const body of refused) await expect(create('true', body)).rejects.toThrow();
    expect(await traces()).toEqual(before);
  });

  test('when the shim is killed, the container’s end is told, and nothing of it stays', async () => {
    const before = await traces();
    const id = await create('sleep 1000');
    await start(id);
    const { Pid } = (await inspect(id)).State;
    const waiting = api.json<{ StatusCode: number }>('POST', `/containers/${id}/wait`);
    kill(readStatus(Pid)!.ppid, SIGNALS['SIGKILL']!);
    expect((await waiting).StatusCode).toBe(137);
    await eventually('the process is gone', () => !isRunning(Pid));
    await remove(id);
    expect(await traces()).toEqual(before);
    expect(openCgroup(`/mydocker/${id}`).exists()).toBe(false);
  });

  test('what a killed daemon left half made is taken away by the next', async () => {
    const before = await traces();
    const running = await create('sleep 1000', { HostConfig: { AutoRemove: true } });
    await start(running);
    const { Pid } = (await inspect(running)).State;
    kill(daemon, SIGNALS['SIGKILL']!);
    kill(Pid, SIGNALS['SIGKILL']!);
    await eventually('the daemon is gone', () => !isRunning(daemon));
    const containerd = connectContainerd(join(engine.execRoot, 'containerd', 'containerd.sock'), 'mydocker');
    await eventually('the container’s end is known', async () => {
      const { process } = await containerd.tasks.get({ containerId: running });
      return process.status === 'STOPPED';
    }).finally(() => containerd.close());
    api.close();
    daemon = await engine.start();
    api = engine.client();
    await expect(inspect(running)).rejects.toThrow('No such container');
    expect(await traces()).toEqual(before);
  });
});

describe('a daemon that was killed in the middle of a start', () => {
  test('has asked for a task that comes when the next one is there: it is taken away', async () => {
    const before = await traces();
    const id = await create('sleep 1000');
    // Its files are there after a run.
    await start(id);
    await api.request('POST', `/containers/${id}/kill`);
    const containerd = connectContainerd(join(engine.execRoot, 'containerd', 'containerd.sock'), 'mydocker');
    try {
      const { mounts } = await containerd.snapshots.mounts({ snapshotter: 'overlayfs', key: id });
      const { pid } = await containerd.tasks.create({ containerId: id, rootfs: mounts });
      await eventually('the task is gone', async () => (await containerd.tasks.list({})).tasks.length === 0);
      expect(isRunning(pid)).toBe(false);
    } finally {
      containerd.close();
    }
    await remove(id);
    expect(await traces()).toEqual(before);
  });
});

describe('two clients at once', () => {
  test('rm -f of a container that is being started: it starts, and is removed', async () => {
    const before = await traces();
    for (let round = 0; round < 3; round++) {
      const id = await create('sleep 1000');
      const starting = start(id);
      await sleep(round * 20);
      const [started, removed] = await Promise.allSettled([starting, remove(id)]);
      expect(removed).toMatchObject({ status: 'fulfilled' });
      if (started.status === 'rejected')
        expect(String(started.reason)).toMatch(/marked for removal|No such container/);
      expect(openCgroup(`/mydocker/${id}`).exists()).toBe(false);
    }
    expect(await traces()).toEqual(before);
  });

  test('rm without force of a container that is being started: refused, and it runs', async () => {
    const id = await create('sleep 1000');
    const { starting } = await begunStart(id);
    await expect(api.json('DELETE', `/containers/${id}`)).rejects.toThrow('Stop the container before');
    await starting;
    expect((await inspect(id)).State.Status).toBe('running');
    await remove(id);
  });

  test('kill and exec of a container that is being started mean the one that is started', async () => {
    const id = await create('sleep 1000');
    const { starting } = await begunStart(id);
    await api.json('POST', `/containers/${id}/exec`, { body: { Cmd: ['true'] } });
    await api.request('POST', `/containers/${id}/kill`);
    await starting;
    expect((await inspect(id)).State).toMatchObject({ Status: 'exited', ExitCode: 137 });
    await remove(id);
  });

  test('two removals: one removes, the other is told so; the removal is told of once', async () => {
    const id = await create('sleep 1000');
    await start(id);
    const events = await api.request('GET', '/events', {
      query: { filters: JSON.stringify({ container: [id], event: ['destroy'] }) },
    });
    let told = '';
    events.on('data', (data: Buffer) => (told += data.toString()));
    const outcomes = await Promise.allSettled([remove(id), remove(id), remove(id)]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected')
        expect(String(outcome.reason)).toMatch(/removal of container .* is already in progress/);
    await eventually('the removal is told of', () => told.includes('destroy'));
    expect(told.trim().split('\n')).toHaveLength(1);
    events.destroy();
  });
});

describe('an archive that ends too early', () => {
  test('leaves nothing in the content store', async () => {
    const body = createReadStream(engine.archive, { end: 500_000 });
    await expect(api.request('POST', '/images/load', { body })).rejects.toThrow('the archive cannot be read');
    const containerd = connectContainerd(join(engine.execRoot, 'containerd', 'containerd.sock'), 'mydocker');
    try {
      expect((await containerd.content.listStatuses({})).statuses).toEqual([]);
    } finally {
      containerd.close();
    }
  });
});

describe('the API', () => {
  test('wait tells of the next exit, of a container that has ended at once, and of the removal', async () => {
    const id = await create('exit 3');
    const wait = (condition: string): Promise<{ StatusCode: number }> =>
      api.json('POST', `/containers/${id}/wait`, { query: { condition } });
    const [next, removed] = [wait('next-exit'), wait('removed')];
    await start(id);
    expect((await next).StatusCode).toBe(3);
    expect((await wait('not-running')).StatusCode).toBe(3);
    await remove(id);
    expect((await removed).StatusCode).toBe(3);
  });

  test('start of what runs and stop of what does not are 304: nothing to do', async () => {
    const id = await create('sleep 1000');
    await start(id);
    const status = async (verb: string): Promise<number | undefined> => {
      const answer = await api.request('POST', `/containers/${id}/${verb}`, { query: { t: 0 } });
      answer.resume();
      return answer.statusCode;
    };
    expect(await status('start')).toBe(304);
    expect(await status('stop')).toBe(204);
    expect(await status('stop')).toBe(304);
    await remove(id);
  });

  test('a container is started again by its policy, and not after a person has stopped it', async () => {
    const policy = { Name: 'always', MaximumRetryCount: 0 };
    const id = await create('echo run; sleep 0.2; exit 1', { HostConfig: { RestartPolicy: policy } });
    await start(id);
    await eventually('it was started again', async () => {
      const { RestartCount } = await api.json<{ RestartCount: number }>('GET', `/containers/${id}/json`);
      return RestartCount >= 2;
    });
    (await api.request('POST', `/containers/${id}/stop`, { query: { t: 0 } })).resume();
    await sleep(500);
    expect((await inspect(id)).State.Status).toBe('exited');
    await remove(id);
  });

  test('what it does not serve is said plainly', async () => {
    await expect(api.json('GET', '/nonsense')).rejects.toThrow('page not found');
    await expect(api.json('GET', '/system/df')).rejects.toThrow('not served by this engine yet');
    await expect(
      api.json('GET', '/containers/json', { query: { filters: '{"colour":["blue"]}' } }),
    ).rejects.toThrow("invalid filter 'colour'");
  });

  test('the journal is all that an ended container keeps in run state', async () => {
    const id = await create('echo kept');
    await start(id);
    await api.json('POST', `/containers/${id}/wait`);
    expect(existsSync(join(engine.execRoot, 'containers', id))).toBe(false);
    expect(existsSync(join(engine.dataRoot, 'containers', id, `${id}.journal`))).toBe(true);
    await remove(id);
  });
});
