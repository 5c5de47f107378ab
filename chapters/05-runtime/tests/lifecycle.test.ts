import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  namespacesOf,
  readCapabilities,
  readCgroups,
  readCmdline,
  readFds,
  readStat,
  readStatus,
} from '../../01-processes/index.ts';
import { createCgroup, openCgroup } from '../../03-cgroups/index.ts';
import { eventually, traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => bench.remove());

describe('a cgroup', () => {
  it.each([
    ['a relative path', (name: string) => name],
    ['no path, then the id', () => undefined],
  ])('is below that of the runtime itself with %s, as runc has it', (_what, path) => {
    const own = createCgroup(`/${bench.id()}/own`);
    const id = bench.id();
    const name = path(`${id}-cgroup`);
    const bundle = bench.bundle((spec) => {
      if (name === undefined) delete spec.linux.cgroupsPath;
      else spec.linux.cgroupsPath = name;
      spec.process.args = ['sleep', '1000'];
    });
    const script = `for f; do echo $$ > $f/cgroup.procs; done; exec ${bench.program} --root ${bench.root} run -d -b ${bundle} ${id}`;
    expect(
      spawnSync('sh', ['-c', script, 'sh', ...Object.values(own.paths())], {
        stdio: 'inherit',
        timeout: 60_000,
      }).status,
    ).toBe(0);
    const { pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    // On v2 a cgroup that has processes can hand no controllers down: there it is beside.
    const above = own.layout === 'v2' ? dirname(own.path) : own.path;
    const trees = readCgroups(pid)!.filter(({ path }) => path.startsWith(above));
    expect(new Set(trees.map(({ path }) => path))).toEqual(new Set([`${above}/${name ?? id}`]));
    expect(trees).toHaveLength(new Set(Object.values(own.paths())).size);
    expect(bench.myrunc('delete', '--force', id)).toMatchObject({ status: 0, err: '' });
    openCgroup(dirname(own.path)).remove();
    expect(traces(bench)).toEqual([]);
  });
});

describe('the life of a container', () => {
  afterEach(() => expect(traces(bench)).toEqual([]));

  it('is created, started, killed and deleted by one short-lived command each', () => {
    const id = bench.id();
    const pidFile = join(bench.dir, 'pid');
    const bundle = bench.bundle((spec) => {
      spec.process.args = ['sleep', '1000'];
    });
    const state = (): { status: string; pid: number } => JSON.parse(bench.myrunc('state', id).out);

    expect(bench.myrunc('create', '--bundle', bundle, '--pid-file', pidFile, id)).toMatchObject({
      status: 0,
      err: '',
    });
    const pid = Number(readFileSync(pidFile, 'utf8'));
    expect(state()).toMatchObject({ id, pid, status: 'created', bundle });
    expect(readCmdline(pid)).not.toEqual(['sleep', '1000']);

    const [its, ours] = [namespacesOf(pid)!, namespacesOf('self')!];
    for (const kind of ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup']) expect(its[kind]).not.toBe(ours[kind]);
    expect(its['user']).toBe(ours['user']);

    expect(bench.myrunc('start', id)).toMatchObject({ status: 0, err: '' });
    expect(eventually(() => readCmdline(pid)?.join(' ') === 'sleep 1000')).toBe(true);
    expect(state().status).toBe('running');
    expect(bench.myrunc('start', id)).toMatchObject({
      status: 1,
      err: expect.stringContaining('already running'),
    });
    expect(bench.myrunc('delete', id)).toMatchObject({
      status: 1,
      err: expect.stringContaining('not stopped'),
    });

    expect(bench.myrunc('kill', id, 'KILL').status).toBe(0);
    expect(eventually(() => state().status === 'stopped')).toBe(true);
    expect(state().pid).toBe(0);
    expect(bench.myrunc('kill', id, 'KILL')).toMatchObject({
      status: 1,
      err: expect.stringContaining('not running'),
    });
    expect(bench.myrunc('delete', id).status).toBe(0);
    expect(bench.myrunc('state', id)).toMatchObject({
      status: 1,
      err: expect.stringContaining('does not exist'),
    });
    expect(readStat(pid)?.state ?? 'gone').toMatch(/^(gone|Z)$/);
  });

  it('puts the first process into the cgroup, with the limits of config.json', () => {
    const path = `/ch05-limits-${bench.id()}`;
    const id = bench.id();
    const bundle = bench.bundle((spec) => {
      spec.process.args = ['sleep', '1000'];
      spec.linux.cgroupsPath = path;
      spec.linux.resources = { ...spec.linux.resources, pids: { limit: 17 } };
    });
    expect(bench.myrunc('run', '-d', '-b', bundle, id).status).toBe(0);
    const { pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    const ofPids = readCgroups(pid)!.find(
      ({ controllers, hierarchy }) => controllers.includes('pids') || hierarchy === 0,
    )!;
    expect(ofPids.path).toBe(path);
    const limit = ['/sys/fs/cgroup/pids', '/sys/fs/cgroup']
      .map((tree) => join(tree, path, 'pids.max'))
      .find(existsSync)!;
    expect(readFileSync(limit, 'utf8').trim()).toBe('17');
    expect(bench.myrunc('update', '--pids-limit', '23', id).status).toBe(0);
    expect(readFileSync(limit, 'utf8').trim()).toBe('23');
    bench.myrunc('delete', '-f', id);
    expect(existsSync(limit)).toBe(false);
  });

  it('pauses and resumes, and says so', () => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => void (spec.process.args = ['sleep', '1000']));
    bench.myrunc('run', '-d', '-b', bundle, id);
    const status = (): string => (JSON.parse(bench.myrunc('state', id).out) as { status: string }).status;
    expect(bench.myrunc('pause', id).status).toBe(0);
    expect(status()).toBe('paused');
    expect(bench.myrunc('exec', id, 'true')).toMatchObject({
      status: 255,
      err: expect.stringContaining('paused'),
    });
    expect(bench.myrunc('resume', id).status).toBe(0);
    expect(status()).toBe('running');
    expect(bench.myrunc('resume', id).status).toBe(1);
    bench.myrunc('pause', id);
    expect(bench.myrunc('delete', '--force', id).status).toBe(0);
  });

  it('lists containers as a table, as JSON and by their ids', () => {
    const id = bench.id();
    bench.myrunc('create', '-b', bench.bundle(), id);
    expect(bench.myrunc('list', '-q').out).toBe(`${id}\n`);
    expect(bench.myrunc('list').out.split('\n')[1]).toMatch(new RegExp(`^${id} +\\d+ +created +/.*Z +root$`));
    expect(JSON.parse(bench.myrunc('list', '-f', 'json').out)).toMatchObject([
      { id, status: 'created', owner: 'root' },
    ]);
    bench.myrunc('delete', '-f', id);
    expect(bench.myrunc('list').out).toMatch(/^ID +PID +STATUS/);
  });

  it('gives the exit status of the program in the foreground', () => {
    expect(bench.run('echo out; echo err >&2; exit 7')).toEqual({ status: 7, out: 'out\n', err: 'err\n' });
    expect(
      bench.run('kill -TERM $$; exec sleep 1', (spec) => {
        spec.linux.namespaces = spec.linux.namespaces!.filter(({ type }) => type !== 'pid');
      }).status,
    ).toBe(128 + 15);
  });

  it('begins once, though many start it at the same time', async () => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => void (spec.process.args = ['sleep', '1000']));
    expect(bench.myrunc('create', '-b', bundle, id).status).toBe(0);
    const all = await Promise.all(
      [1, 2, 3].map(async () => {
        const start = spawn(bench.program, ['--root', bench.root, 'start', id], { timeout: 60_000 });
        let said = '';
        start.stderr.on('data', (data) => (said += String(data)));
        const [status] = (await once(start, 'close')) as [number | null];
        return { status, said };
      }),
    );
    expect(all.map(({ status }) => status).sort()).toEqual([0, 1, 1]);
    for (const { status, said } of all)
      if (status !== 0) expect(said).toContain('cannot start an already running container');
    expect(bench.myrunc('delete', '--force', id).status).toBe(0);
  });

  it('does not begin where its first process has been killed: start says so', () => {
    const id = bench.id();
    expect(bench.myrunc('create', '-b', bench.bundle(), id).status).toBe(0);
    process.kill((JSON.parse(bench.myrunc('state', id).out) as { pid: number }).pid, 'SIGKILL');
    expect(eventually(() => bench.myrunc('state', id).out.includes('"stopped"'))).toBe(true);
    expect(bench.myrunc('start', id)).toMatchObject({
      status: 1,
      err: expect.stringContaining('cannot start a container that has stopped'),
    });
    expect(bench.myrunc('delete', id)).toMatchObject({ status: 0, err: '' });
  });

  it('is the same where there can be no trampoline: the runtime itself waits', () => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => {
      spec.process.args = ['sleep', '1000'];
      spec.process.rlimits = [{ type: 'RLIMIT_FSIZE', soft: 0, hard: 0 }]; // not even a file in memory
      spec.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['openat2', 'read', 'close', 'capset'], action: 'SCMP_ACT_ERRNO' }],
      };
      spec.process.noNewPrivileges = false;
    });
    expect(bench.myrunc('create', '-b', bundle, id)).toMatchObject({ status: 0, err: '' });
    const { pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    expect(readlinkSync(`/proc/${pid}/exe`)).toBe(process.execPath);
    expect(bench.myrunc('start', id)).toMatchObject({ status: 0, err: '' });
    expect(eventually(() => readCmdline(pid)?.join(' ') === 'sleep 1000')).toBe(true);
    expect(readStatus(pid)!.seccomp).toBe(2);
    expect(readCapabilities(pid)!.inheritable).toEqual([]);
    expect(readFds(pid)!.map(({ fd }) => fd)).toEqual([0, 1, 2]);
    expect(bench.myrunc('delete', '--force', id).status).toBe(0);
  });

  it('is not confused by an id that another process has got: a state with another start time is "stopped"', async () => {
    const { isInitAlive } = await import('../state.ts');
    const { startTime } = readStat('self')!;
    expect(isInitAlive({ pid: process.pid, startTime })).toBe(true);
    expect(isInitAlive({ pid: process.pid, startTime: startTime + 1 })).toBe(false);
  });

  it('is deleted by force when myrunc itself was killed in the middle of create', async () => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => {
      // It holds create up as long as the test likes.
      const hook = `until [ -e ${bench.dir}/go ] || ! [ -e ${bench.dir} ]; do sleep 0.1; done`;
      spec.hooks = { createRuntime: [{ path: '/bin/sh', args: ['sh', '-c', hook] }] };
    });
    const creating = spawn(bench.program, ['--root', bench.root, 'create', '-b', bundle, id], {
      stdio: 'ignore',
      timeout: 110_000,
    });
    const pid = (): number => {
      const { out } = bench.myrunc('state', id);
      return out === '' ? 0 : (JSON.parse(out) as { pid: number }).pid;
    };
    expect(eventually(() => pid() > 0)).toBe(true);
    const init = pid();
    creating.kill('SIGKILL');
    // Nobody will ever start it: it notices, and ends.
    expect(eventually(() => (readStat(init)?.state ?? 'Z') === 'Z')).toBe(true);
    expect(bench.myrunc('delete', '--force', id)).toMatchObject({ status: 0, err: '' });
    writeFileSync(join(bench.dir, 'go'), '');
  });
});
