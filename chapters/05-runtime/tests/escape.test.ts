import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCmdline, readFds } from '../../01-processes/index.ts';
import { trampoline } from '../trampoline.ts';
import { eventually, traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => {
  expect(traces(bench)).toEqual([]);
  bench.remove();
});

/** A bundle whose image has these files. */
function image(files: (rootfs: string) => void, change: Parameters<Workbench['bundle']>[0]): string {
  const bundle = bench.bundle(change);
  files(join(bundle, 'rootfs'));
  return bundle;
}

describe('the runtime’s own program (CVE-2019-5736)', () => {
  it('is not what a script with #!/proc/self/exe gets to run', () => {
    const bundle = image(
      (rootfs) => {
        writeFileSync(join(rootfs, 'bin/evil'), '#!/proc/self/exe\n');
        chmodSync(join(rootfs, 'bin/evil'), 0o755);
      },
      (spec) => void (spec.process.args = ['/bin/evil', '-e', 'console.log("Node runs in the container")']),
    );
    const { status, out, err } = bench.myrunc('run', '-b', bundle, bench.id());
    expect({ status, out }).toEqual({ status: 1, out: '' });
    expect(err).toBe(
      'exec /bin/evil: the kernel cannot start it: no program, or its interpreter is missing\n',
    );
  });

  it('is not to be looked into while it waits for start: not dumpable', () => {
    const id = bench.id();
    bench.myrunc('create', '-b', bench.bundle(), id);
    const { pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    // A process that is not dumpable has its files in /proc given to root outside of every container, and may not be traced.
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    expect(status).toMatch(/^CapBnd:\t0000000020000420$/m);
    const bundle = bench.bundle((spec) => {
      spec.process.args = ['sh', '-c', `ls -l /proc/${pid}/exe; ls /proc/${pid}/fd`];
      spec.linux.namespaces = spec.linux.namespaces!.filter(({ type }) => type !== 'pid');
    });
    const { out, err } = bench.myrunc('run', '-b', bundle, bench.id());
    expect(out).not.toContain('->');
    expect(err).toMatch(/Permission denied/);
    bench.myrunc('delete', '-f', id);
  });

  it('is a valid program on both kinds of machines', () => {
    for (const [arch, machine] of [
      ['x64', 62],
      ['arm64', 183],
    ] as const) {
      const program = trampoline(arch, 'text')!;
      expect(program.subarray(0, 4).toString('latin1')).toBe('\x7fELF');
      expect(program.readUInt16LE(18)).toBe(machine);
      expect(program.length).toBeLessThan(300);
    }
    expect(trampoline('mips', 'text')).toBeUndefined();
  });
});

describe('descriptors that lead out (CVE-2024-21626)', () => {
  it('are closed: a working directory of /proc/self/fd/N leads nowhere', () => {
    for (let fd = 3; fd < 30; fd += 3) {
      const { status, out } = bench.run('ls ../../../../..', (spec) => {
        spec.process.cwd = `/proc/self/fd/${fd}`;
      });
      expect({ fd, status, out }).toEqual({ fd, status: 1, out: '' });
    }
  });

  it('are not held by the waiting process in the container’s reach: all close on exec', () => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => void (spec.process.args = ['sleep', '1000']));
    bench.myrunc('run', '-d', '-b', bundle, id);
    const { pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    expect(eventually(() => readCmdline(pid)?.[0] === 'sleep')).toBe(true);
    expect(readFds(pid)!.map(({ fd }) => fd)).toEqual([0, 1, 2]);
    bench.myrunc('delete', '-f', id);
  });
});

describe('links in the image', () => {
  it('do not lead a mount, a device or a directory out of the root (CVE-2021-30465)', () => {
    const outside = join(bench.dir, 'outside');
    mkdirSync(outside);
    const bundle = image(
      (rootfs) => {
        symlinkSync(outside, join(rootfs, 'absolute'));
        symlinkSync(`../../../../../../../..${outside}`, join(rootfs, 'climbing'));
        rmSync(join(rootfs, 'dev'), { recursive: true, force: true });
      },
      (spec) => {
        spec.process.args = ['sh', '-c', `ls -d ${outside}/a ${outside}/b ${outside}/work`];
        spec.process.cwd = '/absolute/work';
        spec.mounts.push({ destination: '/absolute/a', type: 'tmpfs', source: 'tmpfs' });
        spec.mounts.push({ destination: '/climbing/b', type: 'bind', source: outside, options: ['bind'] });
        spec.linux.devices = [{ path: '/absolute/null', type: 'c', major: 1, minor: 3 }];
      },
    );
    const { status, out } = bench.myrunc('run', '-b', bundle, bench.id());
    expect({ status, out }).toEqual({ status: 0, out: `${outside}/a\n${outside}/b\n${outside}/work\n` });
    for (const name of ['a', 'b', 'work', 'null']) expect(existsSync(join(outside, name))).toBe(false);
    expect(statSync(join(bundle, 'rootfs', outside, 'null')).rdev).toBe(0x103);
    expect(readlinkSync(join(bundle, 'rootfs/absolute'))).toBe(outside);
  });
});
