import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readStatus } from '../../01-processes/index.ts';
import { inMountNamespace, onStage, pidOf, weakened, withoutDev } from './escape-stage.ts';
import type { Workbench } from './workbench.ts';

let bench: Workbench;
onStage((made) => (bench = made));

describe('what is hidden', () => {
  it('can be had when it is hidden behind the container’s own /dev/null: the negative', () => {
    const rootfs = join(bench.bundle(), 'rootfs');
    mkdirSync(join(rootfs, 'dev'));
    symlinkSync('../proc/secret', join(rootfs, 'dev/null'));
    for (const name of ['secret', 'kcore']) {
      mkdirSync(join(rootfs, 'proc'), { recursive: true });
      writeFileSync(join(rootfs, 'proc', name), name);
    }
    const script = 'mount --bind "$1/dev/null" "$1/proc/kcore"; cat "$1/proc/kcore"; umount "$1/proc/kcore"';
    expect(inMountNamespace(script, rootfs)).toBe('secret');
  });

  it('is hidden behind the host’s, whatever the image calls /dev/null (CVE-2025-31133)', () => {
    const look = 'for f in /secret /proc/keys; do stat -c "%t %T %s" $f; cat $f; done';
    const bundle = bench.bundle((spec) => {
      spec.linux.maskedPaths = ['/secret', '/proc/keys'];
      spec.process.args = ['sh', '-c', look];
      // The image's own /dev, with everything in it, and a null that is none.
      withoutDev(spec);
      spec.mounts.push({ destination: '/dev', type: 'bind', source: 'own-dev', options: ['bind'] });
    });
    mkdirSync(join(bundle, 'own-dev'));
    symlinkSync('/proc/version', join(bundle, 'own-dev/null'));
    writeFileSync(join(bundle, 'rootfs/secret'), 'secret');
    expect(bench.myrunc('run', '-b', bundle, bench.id())).toEqual({
      status: 0,
      out: '1 3 0\n1 3 0\n',
      err: '',
    });
  });

  it('stays hidden: nothing of it can be unmounted, or reached by another path', () => {
    const { out } = bench.run(
      'umount /proc/keys; cat /proc/keys; cat /proc/self/../keys; cat /proc/1/root/proc/keys; cat /proc/1/cwd/proc/keys; echo x > /proc/sysrq-trigger',
    );
    expect(out).toBe('');
  });

  it('is not uncovered by a link in /dev/console’s place (CVE-2025-52565); and is with the remedy taken out', async () => {
    // Bound through the link, the terminal would cover a file of the kernel's instead; and what is masked later would be the terminal.
    const careless = await weakened(
      bench,
      'console.ts',
      "touchInRoot(dev, 'console')",
      "touchInRoot(rootFd, '/dev/console')",
    );
    const covered = (run: Workbench['myrunc'], target: string): string[] => {
      const bundle = bench.bundle((spec) => {
        spec.process.terminal = true;
        spec.process.args = ['cat', '/proc/self/mountinfo'];
        spec.mounts = spec.mounts.filter(({ destination }) => destination !== '/dev');
      });
      mkdirSync(join(bundle, 'rootfs/dev'));
      symlinkSync(target, join(bundle, 'rootfs/dev/console'));
      const { out } = run('run', '-b', bundle, bench.id());
      expect(out).toContain(' /dev/pts ');
      const terminals = out
        .split('\n')
        .filter((line) => / devpts /.test(line) && !line.includes(' /dev/pts '));
      return terminals.map((line) => line.split(' ')[4]!);
    };
    for (const target of ['/proc/sys/kernel/core_pattern', '/proc/kcore', '../../../../etc/hostname'])
      for (const point of covered(bench.myrunc, target)) expect(point).toMatch(/^\/dev\//);
    expect(covered(careless, '/proc/sys/kernel/core_pattern')).toContain('/proc/sys/kernel/core_pattern');
    expect(statSync('/etc/hostname').isFile()).toBe(true);
  });

  it('a devpts that is none gives no terminal', () => {
    const bundle = bench.bundle((spec) => {
      spec.process.terminal = true;
      withoutDev(spec);
    });
    mkdirSync(join(bundle, 'rootfs/dev/pts'), { recursive: true });
    spawnSync('mknod', [join(bundle, 'rootfs/dev/pts/ptmx'), 'c', '5', '2']);
    const { status, err } = bench.myrunc('run', '-b', bundle, bench.id());
    expect(status).toBe(1);
    expect(err).toMatch(/terminal/);
  });
});

describe('capabilities (CVE-2022-29162, CVE-2022-27650)', () => {
  it('are never inheritable unless config.json says so, for the first process and for those of exec; and are with the remedy taken out', async () => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => void (spec.process.args = ['sleep', '1000']));
    bench.myrunc('run', '-d', '-b', bundle, id);
    expect(readStatus(pidOf(bench, id))!.capabilities.inheritable).toBe(0n);
    const sets = (run: Workbench['myrunc'], ...more: string[]): string =>
      run('exec', ...more, id, 'grep', '-E', 'CapInh|CapAmb', '/proc/self/status').out;
    for (const more of [[], ['--cap', 'CAP_CHOWN'], ['--user', '1000', '--cap', 'CAP_CHOWN']])
      expect(sets(bench.myrunc, ...more)).toBe('CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n');
    const careless = await weakened(
      bench,
      'verb-exec.ts',
      'inheritable: base.inheritable ?? []',
      'inheritable: add(base.inheritable)',
    );
    expect(sets(careless, '--user', '1000', '--cap', 'CAP_CHOWN')).toContain('CapInh:\t0000000000000001');
    bench.myrunc('delete', '-f', id);
  });

  it('of this runtime’s own are not passed on, were they inheritable and ambient', () => {
    const bundle = bench.bundle((spec) => {
      spec.process.args = ['grep', '-E', 'Cap(Inh|Amb)', '/proc/self/status'];
      spec.process.user = { uid: 1000, gid: 1000 };
    });
    const wrapped = spawnSync(
      'setpriv',
      [
        '--inh-caps',
        '+chown',
        '--ambient-caps',
        '+chown',
        bench.program,
        '--root',
        bench.root,
        'run',
        '-b',
        bundle,
        bench.id(),
      ],
      { encoding: 'utf8', timeout: 60_000 },
    );
    expect(wrapped).toMatchObject({
      status: 0,
      stdout: 'CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n',
    });
  });
});

describe('what the image says', () => {
  it.each([
    ['a fifo', (path: string) => spawnSync('mkfifo', [path])],
    ['a link to a file without end', (path: string) => symlinkSync('/dev/zero', path)],
    ['a link to the runtime’s own descriptors', (path: string) => symlinkSync('/proc/self/fd/0', path)],
    ['a directory', (path: string) => mkdirSync(path)],
    ['a link to itself', (path: string) => symlinkSync('passwd', path)],
  ])('of users cannot hold this runtime up: /etc/passwd as %s', (_what, make) => {
    const bundle = bench.bundle((spec) => void (spec.process.args = ['sh', '-c', 'echo $HOME']));
    const path = join(bundle, 'rootfs/etc/passwd');
    rmSync(path);
    make(path);
    expect(bench.myrunc('run', '-b', bundle, bench.id())).toEqual({ status: 0, out: '/\n', err: '' });
  });

  it('is never loaded into this runtime: /etc/ld.so.preload, LD_PRELOAD, NODE_OPTIONS', () => {
    const bundle = bench.bundle((spec) => {
      spec.process.env!.push('LD_PRELOAD=/evil.so', 'NODE_OPTIONS=--require /evil.js');
      spec.process.args = ['true'];
    });
    for (const name of ['evil.so', 'evil.js', 'etc/ld.so.preload'])
      writeFileSync(join(bundle, 'rootfs', name), 'require("fs").writeFileSync("/ran", "")');
    const { status } = bench.myrunc('run', '-b', bundle, bench.id());
    expect(status).toBe(0);
    expect(() => readFileSync(join(bundle, 'rootfs/ran'))).toThrow('ENOENT');
  });
});
