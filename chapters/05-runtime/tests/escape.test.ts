import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
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
import { describe, expect, it } from 'vitest';
import {
  listPids,
  readCmdline,
  readFds,
  readSmapsRollup,
  readStat,
  readStatus,
} from '../../01-processes/index.ts';
import type { OciCapabilities } from '../index.ts';
import { inMountNamespace, onStage, pidOf } from './escape-stage.ts';
import { eventually, type Workbench } from './workbench.ts';

let bench: Workbench;
onStage((made) => (bench = made));

/** A bundle whose image has these files. */
function image(files: (rootfs: string) => void, change: Parameters<Workbench['bundle']>[0]): string {
  const bundle = bench.bundle(change);
  files(join(bundle, 'rootfs'));
  return bundle;
}

/** Hooks that run in the container, before its program: the runtime waits for `start` itself. */
const withHook: NonNullable<Parameters<Workbench['bundle']>[0]> = (spec) => {
  spec.hooks = { startContainer: [{ path: '/bin/true', args: ['true'] }] };
};

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

  it('is gone when a container waits for start: what waits is a sealed file in memory with a way to the fifo, and no other', () => {
    const id = bench.id();
    bench.myrunc('create', '-b', bench.bundle(), id);
    const pid = pidOf(bench, id);
    expect(readlinkSync(`/proc/${pid}/exe`)).toBe('/memfd:trampoline (deleted)');
    expect(() => appendFileSync(`/proc/${pid}/exe`, 'x')).toThrow(/ETXTBSY|EPERM/);
    const paths = readFileSync(`/proc/${pid}/maps`, 'utf8').match(/\S+$/gm)!;
    expect(paths.filter((path) => !/^\[(stack|vdso|vvar|vvar_vclock|vsyscall)\]$/.test(path))).toEqual([
      '(deleted)',
    ]);
    const beside = readFds(pid)!.filter(({ fd }) => fd > 2);
    expect(beside.map(({ target }) => target)).toEqual([join(bench.root, id, 'exec.fifo')]);
    expect(readSmapsRollup(pid)!.Rss).toBeLessThan(256 * 1024);
    bench.myrunc('delete', '-f', id);
  });

  it('is not to be looked into where it waits itself, because of hooks: not dumpable', () => {
    const id = bench.id();
    bench.myrunc('create', '-b', bench.bundle(withHook), id);
    const pid = pidOf(bench, id);
    expect(readlinkSync(`/proc/${pid}/exe`)).toBe(process.execPath);
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

  it('cannot be looked into by a container while it enters it for exec', async () => {
    const id = bench.id();
    // Whoever comes into this pid namespace and is not busybox is this runtime, and its program a link to the host's Node.
    const look = `while :; do for p in /proc/[0-9]*; do e=$(readlink $p/exe) && case "$e" in */busybox*|*trampoline*|"") ;; *) echo "$e" >> /seen;; esac; done; done 2>/dev/null`;
    const bundle = bench.bundle((spec) => {
      spec.root = { path: 'rootfs', readonly: false };
      spec.process.args = ['sh', '-c', look];
    });
    bench.myrunc('run', '-d', '-b', bundle, id);
    const seen = (): string =>
      existsSync(join(bundle, 'rootfs/seen')) ? readFileSync(join(bundle, 'rootfs/seen'), 'utf8') : '';
    for (let i = 0; i < 10; i++) expect(bench.myrunc('exec', id, 'true').status).toBe(0);
    expect(seen()).toBe('');
    // The negative: a plain Node that enters in the same way, with no more rights than the container's, is seen.
    const pid = pidOf(bench, id);
    const careless = [
      '-p',
      'setpriv',
      '--bounding-set=-all',
      process.execPath,
      '-e',
      'setInterval(() => 0, 1000)',
    ];
    const nsenter = spawn('nsenter', ['-t', String(pid), ...careless], { timeout: 110_000 });
    const ended = once(nsenter, 'exit');
    expect(eventually(() => seen().includes(process.execPath))).toBe(true);
    bench.myrunc('delete', '-f', id); // ends it too, with the namespace
    await ended;
  });

  it('cannot be written to even by a container that may look into it: CAP_SYS_PTRACE in a shared pid namespace', async () => {
    // A Node of this test's own: that of the machine always runs, and a program that runs cannot be written to.
    const node = join(bench.dir, 'node');
    copyFileSync(process.execPath, node);
    const program = join(bench.dir, 'myrunc-of-own-node');
    writeFileSync(program, readFileSync(bench.program, 'utf8').replace(/^#!\S+/, `#!${node}`), {
      mode: 0o755,
    });
    const own = (...args: string[]): number | null =>
      spawnSync(program, ['--root', bench.root, ...args], { stdio: 'ignore', timeout: 60_000 }).status;

    const ptrace = (spec: { process: { capabilities?: OciCapabilities } }): void => {
      for (const set of ['bounding', 'effective', 'permitted'] as const)
        spec.process.capabilities![set]!.push('CAP_SYS_PTRACE');
    };
    const attacker = bench.id();
    // Opens the program of whoever appears, waits until it has ended, and writes to what it holds.
    const attack = `
      for p in $(seq 100000); do [ "$(readlink /proc/$1/exe)" ] && break; done
      exec 3< /proc/$1/exe || exit 1
      echo opened
      while [ -e /proc/$1 ]; do sleep 0.05; done
      : >> /proc/self/fd/3 && echo written`;
    bench.myrunc(
      'run', '-d', '-b',
      bench.bundle((spec) => (ptrace(spec), void (spec.process.args = ['sleep', '1000']))),
      attacker,
    ); // prettier-ignore
    const pid = pidOf(bench, attacker);
    const attackOn = (victim: number): Promise<string> =>
      new Promise((done) => {
        const inside = readStatus(victim)!.nsPid.at(-1)!;
        const shell = spawn(bench.program, [
          '--root',
          bench.root,
          'exec',
          attacker,
          'sh',
          '-c',
          attack,
          'sh',
          String(inside),
        ]);
        let said = '';
        for (const stream of [shell.stdout, shell.stderr])
          stream.on('data', (data) => {
            said += String(data);
            if (String(data).includes('opened')) process.kill(victim, 'SIGKILL');
          });
        shell.on('close', () => done(said.trim()));
      });

    // The victim: a container whose runtime waits for start in the attacker's pid namespace, without a right of its own.
    const victim = bench.id();
    const bundle = bench.bundle((spec) => {
      withHook(spec);
      spec.linux.namespaces!.find(({ type }) => type === 'pid')!.path = `/proc/${pid}/ns/pid`;
    });
    expect(own('create', '-b', bundle, victim)).toBe(0);
    const waiting = pidOf(bench, victim);
    expect(await attackOn(waiting)).toMatch(/^opened\n.*Read-only file system$/);

    // The negative: the same Node, brought in without care.
    const careless = spawn('nsenter', ['-t', String(pid), '-p', node, '-e', 'setInterval(() => 0, 1000)']);
    const child = (): number | undefined =>
      listPids().find((each) => readStat(each)?.ppid === careless.pid && readCmdline(each)?.[0] === node);
    expect(eventually(() => child() !== undefined)).toBe(true);
    expect(await attackOn(child()!)).toBe('opened\nwritten');
    for (const id of [victim, attacker]) bench.myrunc('delete', '-f', id);
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

  it('lead out of a root that is only changed into: the negative', () => {
    const bundle = bench.bundle();
    mkdirSync(join(bundle, 'rootfs/proc'));
    const script =
      'mount --rbind /proc "$1/proc"; exec 7< /; exec chroot "$1" /bin/sh -c "cd /proc/self/fd/7; ls -d etc usr"';
    expect(inMountNamespace(script, join(bundle, 'rootfs'))).toBe('etc\nusr\n');
  });

  it('lead nowhere for exec either: neither as a directory nor as a program', () => {
    const id = bench.id();
    bench.myrunc('run', '-d', '-b', bench.bundle((spec) => void (spec.process.args = ['sleep', '1000'])), id); // prettier-ignore
    const ways = [
      (fd: number) => ['--cwd', `/proc/self/fd/${fd}`, id, 'ls', '../../../etc'],
      (fd: number) => [id, `/proc/self/fd/${fd}/../../../../bin/ls`, '/'],
      (fd: number) => [id, `/proc/self/fd/${fd}/bin/ls`, '/'],
    ];
    for (let fd = 3; fd < 27; fd += 2) {
      const args = ways[fd % ways.length]!(fd);
      const { status, out } = bench.myrunc('exec', ...args);
      expect({ args, failed: status !== 0, out }).toEqual({ args, failed: true, out: '' });
    }
    bench.myrunc('delete', '-f', id);
  });

  it('lead nowhere as the program where a filter bars the way over the trampoline', () => {
    const seccomp = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['execveat'], action: 'SCMP_ACT_ERRNO' }],
    };
    for (const program of [
      '/proc/self/exe',
      ...[3, 5, 8, 12, 17, 20].map((fd) => `/proc/self/fd/${fd}/bin/ls`),
    ]) {
      const bundle = bench.bundle((spec) => {
        withHook(spec); // so that the filter is there before the trampoline
        spec.linux.seccomp = seccomp;
        spec.process.args = [program, '-e', 'console.log("out")'];
      });
      const { status, out } = bench.myrunc('run', '-b', bundle, bench.id());
      expect({ program, status, out }).toEqual({ program, status: 1, out: '' });
    }
  });

  it('are not held by the waiting process in the container’s reach: all close on exec', () => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => void (spec.process.args = ['sleep', '1000']));
    bench.myrunc('run', '-d', '-b', bundle, id);
    const pid = pidOf(bench, id);
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
