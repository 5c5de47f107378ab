import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readCapabilities } from '../../01-processes/index.ts';
import { traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => bench.remove());
afterEach(() => expect(traces(bench)).toEqual([]));

const create = (change?: Parameters<Workbench['bundle']>[0]): string => {
  const { status, err } = bench.myrunc('create', '-b', bench.bundle(change), bench.id());
  expect(status).toBe(1);
  expect(err).not.toMatch(/\n\s+at /);
  return err;
};

describe('a command that fails', () => {
  it('says so in the words by which Docker tells 127 from 126', () => {
    expect(create((spec) => void (spec.process.args = ['nope']))).toContain(
      'exec: \\"nope\\": executable file not found in $PATH',
    );
    expect(create((spec) => void (spec.process.args = ['/etc']))).toContain(
      'exec: \\"/etc\\": permission denied',
    );
    expect(create((spec) => void (spec.process.args = ['/etc/passwd']))).toContain('permission denied');
    expect(create((spec) => void (spec.process.args = ['/no/such']))).toContain(
      'stat /no/such: no such file or directory',
    );
  });

  it('writes JSON to --log, one line, as containerd reads it, and the message to standard error', () => {
    const log = join(bench.dir, 'log.json');
    const bundle = bench.bundle((spec) => void (spec.process.args = ['nope']));
    const { err } = bench.myrunc(
      '--log',
      log,
      '--log-format',
      'json',
      'create',
      '--bundle',
      bundle,
      bench.id(),
    );
    const entry = JSON.parse(readFileSync(log, 'utf8')) as { msg: string };
    expect(entry).toMatchObject({ level: 'error', time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]+Z$/) });
    expect(entry.msg).toBe(
      'myrunc create failed: unable to start container process: exec: "nope": executable file not found in $PATH',
    );
    expect(err).toBe(`${entry.msg}\n`);
  });

  it('names the property that is missing, of the wrong type, or not done', () => {
    expect(create((spec) => void ((spec as { ociVersion?: string }).ociVersion = '2.0.0'))).toContain(
      'ociVersion: expected a version 1.x.y',
    );
    expect(create((spec) => void delete (spec.process as { cwd?: string }).cwd)).toContain(
      'process.cwd: expected an absolute path, it is missing',
    );
    expect(create((spec) => void (spec.process.args = [5 as unknown as string]))).toContain(
      'process.args[0]: expected text',
    );
    expect(create((spec) => void (spec.linux.intelRdt = {}))).toContain('linux.intelRdt:');
    expect(create((spec) => void (spec.root!.path = 'elsewhere'))).toContain('root.path: no such directory');
    expect(create((spec) => void (spec.linux.resources = { memory: { limit: 'much' } }))).toMatch(
      /memory\.limit/,
    );
    expect(create((spec) => void (spec.linux.cgroupsPath = '/../up'))).toMatch(/climbs/);
  });

  it('takes null for a property that is missing, but not for an element of a list', () => {
    const nothing = null as unknown as undefined;
    const [env, hooks] = [nothing, { prestart: nothing }] as unknown as [string[], object];
    expect(
      bench.run('echo fine', (spec) => void Object.assign(spec, { process: { ...spec.process, env }, hooks }))
        .out,
    ).toBe('fine\n');
    expect(create((spec) => void (spec.mounts = [nothing as never]))).toContain(
      'mounts[0]: expected an object',
    );
    expect(create((spec) => void (spec.linux.resources = { cpu: { cpus: 5 } }))).toContain(
      'linux.resources.cpu.cpus: expected text',
    );
  });

  it('names what is wrong with the bundle itself', () => {
    expect(bench.myrunc('create', '-b', '/no/such/bundle', bench.id()).err).toContain(
      'no such file: /no/such/bundle/config.json',
    );
    const bundle = bench.bundle();
    writeFileSync(join(bundle, 'config.json'), '{"half":');
    expect(bench.myrunc('create', '-b', bundle, bench.id()).err).toContain('is not JSON');
  });

  it('refuses an id that is in use, and one that climbs', () => {
    const id = bench.id();
    bench.myrunc('create', '-b', bench.bundle(), id);
    expect(bench.myrunc('create', '-b', bench.bundle(), id)).toMatchObject({
      status: 1,
      err: expect.stringContaining('container with given ID already exists'),
    });
    expect(bench.myrunc('delete', '-f', id).status).toBe(0);
    expect(bench.myrunc('create', '-b', bench.bundle(), '../x').err).toContain('invalid container ID');
  });

  it('refuses unknown verbs, options and values before it does anything', () => {
    for (const [args, text] of [
      [['frobnicate'], "No help topic for 'frobnicate'"],
      [['create', '--nope', 'x'], 'flag provided but not defined: -nope'],
      [['create'], 'requires exactly 1 argument'],
      [['kill', 'x', 'FOO'], 'unknown signal'],
      [['update', '--memory', 'much', 'x'], 'invalid size'],
      [['update', '--cpu-quota', 'much', 'x'], 'expected a whole number'],
      [['checkpoint', '--leave-running', 'x'], 'CRIU'],
      [['restore', 'x'], 'CRIU'],
      [['--rootless', 'perhaps', 'list'], 'auto, true and false are allowed'],
      [
        ['create', '-b', bench.bundle((spec) => void (spec.linux.cgroupsPath = 'a.slice:b:c')), 'x'],
        'call with --systemd-cgroup',
      ],
    ] as const)
      expect(bench.myrunc(...args)).toMatchObject({ status: 1, err: expect.stringContaining(text) });
    expect(bench.myrunc('delete', '--force', 'never-was')).toMatchObject({ status: 0, err: '' });
  });

  it('says which mount failed, and leaves no mount, cgroup, process or state behind', () => {
    const err = create((spec) =>
      spec.mounts.push({ destination: '/mnt', type: 'bind', source: '/no/such', options: ['bind'] }),
    );
    expect(err).toContain('error mounting \\"/no/such\\" to rootfs at \\"/mnt\\"');
  });

  it('says that a right is missing which this machine does not give', () => {
    const lacking = !readCapabilities()!.permitted.includes('CAP_SYS_RESOURCE');
    // As many as the kernel gives to anybody.
    const most = Number(readFileSync('/proc/sys/fs/nr_open', 'utf8'));
    const started = bench.run('true', (spec) => {
      spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: most, hard: most }];
      spec.process.oomScoreAdj = lacking ? -500 : 0;
    });
    if (lacking) expect(started.err).toMatch(/needs CAP_SYS_RESOURCE, which this process lacks/);
    else expect(started.status).toBe(0);
  });

  it('refuses a terminal that nobody is to hold', () => {
    expect(create((spec) => void (spec.process.terminal = true))).toContain('without setting console socket');
  });

  it('shares a cgroup in which others are, says so, and ends none of them', () => {
    const shared = bench.bundle((spec) => {
      spec.linux.cgroupsPath = `/ch05-used-${bench.id()}`;
      spec.process.args = ['sleep', '100'];
    });
    const first = bench.id();
    bench.myrunc('run', '-d', '-b', shared, first);
    const second = bench.id();
    expect(bench.myrunc('run', '-d', '-b', shared, second).err).toContain("container's cgroup is not empty");
    expect(bench.myrunc('delete', '-f', second).status).toBe(0);
    expect(bench.myrunc('state', first).out).toContain('running');
    expect(bench.myrunc('pause', first).status).toBe(0);
    expect(bench.myrunc('create', '-b', shared, second).err).toContain('unexpectedly frozen');
    bench.myrunc('delete', '-f', first);
  });

  it('hands on what a hook said, and undoes everything', () => {
    const hook = join(bench.dir, 'hook');
    writeFileSync(hook, '#!/bin/sh\necho no luck; exit 3\n');
    chmodSync(hook, 0o755);
    expect(create((spec) => void (spec.hooks = { createRuntime: [{ path: hook }] }))).toContain(
      'error running createRuntime hook #0: exit status 3, output: no luck',
    );
    expect(
      create(
        (spec) =>
          void (spec.hooks = { prestart: [{ path: '/bin/sleep', args: ['sleep', '9'], timeout: 1 }] }),
      ),
    ).toContain('did not end in 1 seconds');
  });

  it('does not mount over /proc, nor /proc behind a link', () => {
    expect(
      create((spec) => spec.mounts.push({ destination: '/proc/self', type: 'tmpfs', source: 'tmpfs' })),
    ).toContain('inside /proc');
    const bundle = bench.bundle();
    rmSync(join(bundle, 'rootfs/proc'), { recursive: true, force: true });
    mkdirSync(join(bundle, 'rootfs/elsewhere'));
    symlinkSync('elsewhere', join(bundle, 'rootfs/proc'));
    expect(bench.myrunc('create', '-b', bundle, bench.id()).err).toMatch(
      /must be mounted on ordinary directory.*ELOOP/,
    );
  });
});
