import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { OciSeccomp } from '../index.ts';
import { newerCallsPrefix } from '../seccomp-program.ts';
import { traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterEach(() => expect(traces(bench)).toEqual([]));
afterAll(() => bench.remove());

const run = (script: string, seccomp: OciSeccomp, noNewPrivileges = true): ReturnType<Workbench['run']> =>
  bench.run(script, (spec) => {
    spec.linux.seccomp = seccomp;
    spec.process.noNewPrivileges = noNewPrivileges;
  });
const allowBut = (
  rule: Omit<NonNullable<OciSeccomp['syscalls']>[number], 'names'>,
  ...names: string[]
): OciSeccomp => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names, ...rule }],
});

/** What Debian's busybox calls for a shell that runs grep. */
const BUSYBOX = [
  'execve', 'brk', 'arch_prctl', 'mmap', 'munmap', 'mprotect', 'madvise', 'futex', 'exit_group', 'rt_sigaction', 'rt_sigprocmask', 'write', 'writev',
  'read', 'open', 'openat', 'close', 'fcntl', 'fork', 'vfork', 'clone', 'wait4', 'pipe', 'pipe2', 'dup2', 'getuid', 'geteuid', 'getgid', 'getegid', 'getpid',
  'getppid', 'getcwd', 'stat', 'newfstatat', 'fstat', 'lseek', 'set_tid_address', 'set_robust_list', 'rseq', 'prlimit64', 'readlink', 'readlinkat',
  'rt_sigreturn', 'getdents64', 'getrandom', 'uname', 'ioctl', 'sendfile', 'setgid', 'setuid', 'prctl',
]; // prettier-ignore

describe('a filter', () => {
  it.each([true, false])('gives the errno of the rule (no_new_privs: %s)', (nnp) => {
    const { out, err } = run(
      'mkdir /dev/shm/a; echo $?',
      allowBut({ action: 'SCMP_ACT_ERRNO', errnoRet: 105 }, 'mkdir', 'mkdirat'),
      nnp,
    );
    expect(out).toBe('1\n');
    expect(err).toContain('No buffer space available');
  });

  it('kills, and says by which signal', () => {
    const { status } = run(
      'mkdir /dev/shm/a',
      allowBut({ action: 'SCMP_ACT_KILL_PROCESS' }, 'mkdir', 'mkdirat'),
    );
    expect(status).toBe(128 + 31);
  });

  it.each([
    ['SCMP_CMP_EQ', 0o777, 0, true],
    ['SCMP_CMP_NE', 0o777, 0, false],
    ['SCMP_CMP_LT', 0o1000, 0, true],
    ['SCMP_CMP_LE', 0o776, 0, false],
    ['SCMP_CMP_GE', 0o777, 0, true],
    ['SCMP_CMP_GT', 0o777, 0, false],
    ['SCMP_CMP_MASKED_EQ', 0o700, 0o700, true],
  ])('compares arguments: mode 0777 %s %d', (op, value, valueTwo, caught) => {
    const { out } = run(
      'mkdir -m 777 /dev/shm/a 2>/dev/null && echo made',
      allowBut({ action: 'SCMP_ACT_ERRNO', args: [{ index: 1, value, valueTwo, op }] }, 'mkdir'),
    );
    expect(out).toBe(caught ? '' : 'made\n');
  });

  it.each([
    [true, 0],
    [true, 1000],
    [false, 0],
    [false, 1000],
  ])('need not allow what this runtime does (no_new_privs: %s, user %d)', (noNewPrivileges, uid) => {
    const { status, out, err } = bench.run('echo $(grep ^Cap[EPBA] /proc/self/status)', (spec) => {
      spec.process.noNewPrivileges = noNewPrivileges;
      spec.process.user = { uid, gid: uid };
      spec.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ERRNO',
        syscalls: [{ names: BUSYBOX, action: 'SCMP_ACT_ALLOW' }],
      };
      spec.process.capabilities = {
        bounding: ['CAP_KILL'],
        permitted: ['CAP_KILL'],
        effective: ['CAP_KILL'],
      };
    });
    expect({ status, err }).toEqual({ status: 0, err: '' });
    const kill = uid === 0 ? '0000000000000020' : '0000000000000000'; // a user who is not root has none after execve(2)
    expect(out).toBe(`CapPrm: ${kill} CapEff: ${kill} CapBnd: 0000000000000020 CapAmb: 0000000000000000\n`);
  });

  it.each([0, 1000])(
    'does not change what the program may do, though it took a right to set it (user %d)',
    (uid) => {
      const sets = (seccomp?: OciSeccomp): string => {
        const { out, err } = bench.run('grep Cap /proc/self/status', (spec) => {
          if (seccomp) spec.linux.seccomp = seccomp;
          spec.process.noNewPrivileges = false;
          spec.process.user = { uid, gid: uid };
          spec.process.capabilities = {
            bounding: ['CAP_KILL', 'CAP_CHOWN', 'CAP_NET_RAW'],
            permitted: ['CAP_KILL', 'CAP_CHOWN'],
            effective: ['CAP_KILL'],
            inheritable: ['CAP_CHOWN'],
            ambient: ['CAP_CHOWN', 'CAP_KILL'],
          };
        });
        expect(err).toBe('');
        return out;
      };
      expect(sets()).toContain('CapAmb:\t0000000000000001');
      expect(sets(allowBut({ action: 'SCMP_ACT_ERRNO' }, 'mkdir', 'capset', 'execveat'))).toBe(sets());
    },
  );

  it('is over startContainer hooks too', () => {
    const { status, err } = bench.run('true', (spec) => {
      spec.linux.seccomp = allowBut({ action: 'SCMP_ACT_KILL' }, 'mkdir', 'mkdirat');
      spec.hooks = { startContainer: [{ path: '/bin/sh', args: ['sh', '-c', 'exec mkdir /dev/shm/a'] }] };
    });
    expect(status).not.toBe(0);
    expect(err).toContain('error running startContainer hook #0: signal: bad system call');
  });

  it.each([
    [{ defaultAction: 'SCMP_ACT_NOTIFY' }, 'cannot be used as default action'],
    [allowBut({ action: 'SCMP_ACT_NOTIFY' }, 'write'), 'cannot be used for the write syscall'],
    [allowBut({ action: 'SCMP_ACT_NOTIFY' }, 'mkdir'), 'needs listenerPath'],
    [
      { ...allowBut({ action: 'SCMP_ACT_NOTIFY' }, 'mkdir'), listenerPath: '/no/such' },
      'failed to connect with seccomp agent',
    ],
    [{ defaultAction: 'SCMP_ACT_ALLOW', flags: ['FAST'] }, 'unknown \\"FAST\\"'],
  ] as [OciSeccomp, string][])('is refused: %j', (seccomp, message) => {
    const { status, err } = run('true', seccomp);
    expect(status).toBe(1);
    expect(err).toContain(message);
  });
});

it('tells the supervisor who asks, and lets it answer', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'seccomp-'));
  const path = join(dir, 'agent.sock');
  const said = new Promise<string>((resolve) => {
    const server = createServer((socket) => {
      let text = '';
      socket.on('data', (data) => (text += String(data)));
      socket.on('end', () => {
        server.close();
        resolve(text);
      });
    }).listen(path);
  });
  const id = bench.id();
  const bundle = bench.bundle((spec) => {
    spec.process.args = ['sh', '-c', 'mkdir /dev/shm/a'];
    spec.linux.seccomp = {
      ...allowBut({ action: 'SCMP_ACT_NOTIFY' }, 'mkdir', 'mkdirat'),
      listenerPath: path,
      listenerMetadata: 'of the test',
    };
  });
  try {
    const program = spawn(bench.program, ['--root', bench.root, 'run', '-b', bundle, id], {
      stdio: 'ignore',
      timeout: 60_000,
    });
    const ended = new Promise<number | null>((resolve) => program.on('exit', resolve));
    const message = JSON.parse(await said) as Record<string, unknown>;
    expect(message).toMatchObject({
      ociVersion: expect.stringMatching(/^1\./),
      fds: ['seccompFd'],
      metadata: 'of the test',
      state: { id, status: 'creating' },
    });
    expect(message['pid']).toBe((message['state'] as { pid: number }).pid);
    // Node drops the descriptor that came beside: nobody answers any more, and the kernel says ENOSYS.
    expect(await ended).toBe(1);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

it('gives ENOSYS to calls that are newer than those it names: the program before the filter, run by hand', () => {
  const x64 = 0xc000003e;
  const program = newerCallsPrefix(new Map([[x64, 300]]));
  const verdict = (machine: number, call: number): number | undefined =>
    interpret(program, { machine, call });
  expect(verdict(x64, 300)).toBeUndefined();
  expect(verdict(x64, 301)).toBe(0x00050026);
  expect(verdict(x64, 0x40000000 + 999)).toBeUndefined();
  expect(verdict(0x40000003, 999)).toBeUndefined();
});

/** Runs classic BPF; `undefined` when it falls out at the end, into the filter. */
function interpret(
  program: Buffer,
  { machine, call }: { machine: number; call: number },
): number | undefined {
  let word = 0;
  for (let at = 0; at < program.length; at += 8) {
    const [code, ifTrue, ifFalse, k] = [
      program.readUInt16LE(at),
      program[at + 2]!,
      program[at + 3]!,
      program.readUInt32LE(at + 4),
    ];
    if (code === 0x20) word = k === 4 ? machine : call;
    else if (code === 0x06) return k;
    else {
      const holds = code === 0x15 ? word === k : code === 0x25 ? word > k : word >= k;
      at += 8 * (holds ? ifTrue : ifFalse);
    }
  }
  return undefined;
}
