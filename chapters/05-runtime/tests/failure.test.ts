import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { listPids, readCmdline } from '../../01-processes/index.ts';
import { eventually, traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => bench.remove());
afterEach(() => {
  expect(traces(bench)).toEqual([]);
  expect(eventually(() => ourProcesses().length === 0)).toBe(true);
});

/** Processes of this runtime, of this test: the waiting ones too. */
const ourProcesses = (): number[] =>
  listPids().filter((pid) => readCmdline(pid)?.some((word) => word.includes(bench.dir)));

describe('config.json', () => {
  const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  const whole = (): string => JSON.stringify({ ociVersion: '1.0.2', root: { path: 'rootfs' } });

  it.each([
    ['empty', () => '', /is not JSON/],
    ['half written', () => whole().slice(0, 30), /is not JSON/],
    [
      'of 10 MB and more',
      () => `{"annotations":{"a":"${'x'.repeat(17_000_000)}"}}`,
      /bytes; at most \d+ are allowed/,
    ],
    ['nested 100,000 deep', () => nested(100_000), /not JSON|ociVersion: expected a version/],
    ['a list', () => '[]', /the file: expected an object, found \[\]/],
    ['with a byte that is no UTF-8', () => Buffer.from([0x7b, 0xff, 0x7d]), /is not JSON/],
  ])('that is %s is refused, and the message says so', (_what, content, message) => {
    const bundle = bench.bundle();
    writeFileSync(join(bundle, 'config.json'), content());
    const { status, err } = bench.myrunc('create', '-b', bundle, bench.id());
    expect(status).toBe(1);
    expect(err).toMatch(message);
    expect(err.length).toBeLessThan(2000);
  });

  it('of 10 MB that is right is taken', () => {
    const { status, out } = bench.run('echo big', (spec) => {
      spec.annotations = { a: 'x'.repeat(10_000_000) };
    });
    expect({ status, out }).toEqual({ status: 0, out: 'big\n' });
  });

  it('that is missing, a directory or a fifo: said, and not waited for', () => {
    const bundle = bench.bundle();
    rmSync(join(bundle, 'config.json'));
    expect(bench.myrunc('create', '-b', bundle, bench.id()).err).toContain('no such file');
    mkdirSync(join(bundle, 'config.json'));
    expect(bench.myrunc('create', '-b', bundle, bench.id()).err).toContain('is no file');
    rmSync(join(bundle, 'config.json'), { recursive: true });
    spawnSync('mkfifo', [join(bundle, 'config.json')]);
    expect(bench.myrunc('create', '-b', bundle, bench.id()).err).toContain('is no file');
  });

  it('with properties that nobody knows is taken, as the specification demands', () => {
    const { out } = bench.run('echo known', (spec) => Object.assign(spec, { unknown: { a: [1] } }));
    expect(out).toBe('known\n');
  });
});

describe('what config.json names', () => {
  const failing = (change: Parameters<Workbench['bundle']>[0]): string => {
    const { status, err } = bench.myrunc('create', '-b', bench.bundle(change), bench.id());
    expect(status).toBe(1);
    return err;
  };

  it('a root that is missing, or no directory', () => {
    expect(failing((spec) => void (spec.root = { path: 'nowhere' }))).toContain(
      'root.path: no such directory',
    );
    expect(failing((spec) => void (spec.root = { path: 'config.json' }))).toContain('is no directory');
  });

  it('a command that is missing, not executable, of no format, or behind a loop of links', () => {
    const bundle = bench.bundle();
    const rootfs = join(bundle, 'rootfs');
    writeFileSync(join(rootfs, 'bin/plain'), 'text');
    writeFileSync(join(rootfs, 'bin/script'), '#!/no/such/shell\n', { mode: 0o755 });
    chmodSync(join(rootfs, 'bin/script'), 0o755);
    symlinkSync('loop', join(rootfs, 'bin/loop'));
    const says = (command: string): string => {
      writeFileSync(
        join(bundle, 'config.json'),
        JSON.stringify({ ...specOf(bundle), process: { ...specOf(bundle).process, args: [command] } }),
      );
      return bench.myrunc('run', '-b', bundle, bench.id()).err;
    };
    const spec = JSON.parse(spawnSync('cat', [join(bundle, 'config.json')], { encoding: 'utf8' }).stdout) as {
      process: object;
    };
    const specOf = (_bundle: string): typeof spec => spec;
    expect(says('missing')).toContain('executable file not found in $PATH');
    expect(says('/bin/missing')).toContain('stat /bin/missing: no such file or directory');
    expect(says('/bin/plain')).toContain('permission denied');
    expect(says('/bin/loop')).toContain('too many levels of symbolic links');
    expect(says('/bin/script')).toContain('its interpreter is missing');
  });

  it('a hook that is missing, fails, or does not end', () => {
    const hook = (path: string, args: string[], timeout?: number) => ({
      path,
      args: [path, ...args],
      ...(timeout && { timeout }),
    });
    for (const kind of ['prestart', 'createRuntime', 'createContainer'] as const) {
      expect(failing((spec) => void (spec.hooks = { [kind]: [hook('/no/such/hook', [])] }))).toContain(
        `${kind} hook #0`,
      );
      expect(
        failing((spec) => void (spec.hooks = { [kind]: [hook('/bin/sh', ['-c', 'echo why >&2; exit 3'])] })),
      ).toMatch(new RegExp(`${kind} hook #0: exit status 3, output: why`));
    }
    expect(
      failing((spec) => void (spec.hooks = { createRuntime: [hook('/bin/sleep', ['1000'], 1)] })),
    ).toContain('createRuntime hook #0: /bin/sleep did not end in 1 seconds');
  });

  it('a cgroup that cannot be made, and a limit that it cannot have', () => {
    expect(failing((spec) => void (spec.linux.cgroupsPath = `/${'x'.repeat(300)}`))).toMatch(
      /invalid cgroup path .*xxx/,
    );
    expect(failing((spec) => void (spec.linux.resources = { memory: { limit: -7 } }))).toMatch(
      /memory\.limit|memory/,
    );
  });
});

describe('a disk that is full', () => {
  it.each(['0', '4k'])('is told of, and nothing half is left: %s are free', (free) => {
    const bundle = bench.bundle();
    const root = join(bench.dir, bench.id());
    mkdirSync(root);
    const id = bench.id();
    // The state is longer than what is free. In a mount namespace of its own the disk ends with the shell.
    const script = `
      mount -t tmpfs -o size=64k tiny "$1"
      dd if=/dev/zero of="$1/filler" bs=4k count=$((16 - \${4%k} / 4)) 2>/dev/null
      "$2" --root "$1" create -b "$3" "$5" > "$3/said" 2>&1 < /dev/null; echo "status $?"
      ls "$1"
      "$2" --root "$1" delete -f "$5"`;
    const { stdout } = spawnSync(
      'unshare',
      ['-m', 'sh', '-c', script, 'sh', root, bench.program, bundle, free, id],
      {
        encoding: 'utf8',
        timeout: 100_000,
        env: { PATH: process.env['PATH'] },
      },
    );
    expect(readFileSync(join(bundle, 'said'), 'utf8')).toMatch(/ENOSPC/);
    expect(stdout).toBe('status 1\nfiller\n');
  });
});

describe('kill -9 of myrunc', () => {
  it('at any step of create leaves nothing that delete --force does not take away', async () => {
    const began = Date.now();
    const first = bench.id();
    expect(bench.myrunc('create', '-b', bench.bundle(), first).status).toBe(0);
    bench.myrunc('delete', '-f', first);
    /** In about so many milliseconds it is done. Who was done before he was killed shows that it is less. */
    let whole = Date.now() - began;
    const steps = 8;
    for (let killed = 0, tries = 0; killed < steps; tries++) {
      expect(tries, `${killed} of ${steps} killed`).toBeLessThan(80);
      const id = bench.id();
      const creating = spawn(bench.program, ['--root', bench.root, 'create', '-b', bench.bundle(), id], {
        stdio: 'ignore',
        env: { PATH: process.env['PATH'] },
      });
      await new Promise((resolve) => setTimeout(resolve, (whole * (killed + 1)) / steps));
      creating.kill('SIGKILL');
      if (creating.exitCode === null && creating.signalCode === null) await once(creating, 'exit');
      if (creating.signalCode === 'SIGKILL') killed++;
      else whole *= 0.8;
      // Whoever waits inside ends by itself, or is a container that is there whole.
      expect(bench.myrunc('delete', '--force', id)).toEqual({ status: 0, out: '', err: '' });
      expect(existsSync(join(bench.root, id))).toBe(false);
    }
    expect(eventually(() => ourProcesses().length === 0)).toBe(true);
    expect(readdirSync(bench.root)).toEqual([]);
  });
});
