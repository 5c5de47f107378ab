import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CAPABILITIES, DOCKER_CAPABILITIES, type Capability } from '../../01-processes/index.ts';
import { parseSecurityOpt } from '../cli-security-opt.ts';
import { seccompOf } from '../seccomp-option.ts';
import { defaultSeccomp } from '../seccomp-profile.ts';
import { recordOf } from './records.ts';

const dir = mkdtempSync(join(tmpdir(), 'ch07-seccomp-'));
afterAll(() => rmSync(dir, { recursive: true }));

const ofOption = (option: string | null, more: Capability[] = [], Privileged = false) =>
  seccompOf(recordOf({ host: { SecurityOpt: option === null ? null : [option], Privileged } }).hostConfig, [
    ...DOCKER_CAPABILITIES,
    ...more,
  ]);
const allowed = (filter: ReturnType<typeof defaultSeccomp>): string[] =>
  filter.syscalls!.filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap(({ names }) => names);

describe('the default filter', () => {
  test('refuses what Docker’s documentation lists as blocked, and allows what programs live by', () => {
    const names = allowed(defaultSeccomp(DOCKER_CAPABILITIES));
    // docs.docker.com, "Significant syscalls blocked by the default profile"
    const blocked =
      'acct add_key bpf clock_settime create_module delete_module finit_module get_kernel_syms get_mempolicy init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind mount move_pages nfsservctl open_by_handle_at perf_event_open pivot_root query_module quotactl reboot request_key set_mempolicy setns settimeofday stime swapon swapoff sysfs _sysctl umount umount2 unshare uselib userfaultfd ustat vm86 vm86old io_uring_setup';
    for (const name of blocked.split(' ')) expect(names).not.toContain(name);
    for (const name of ['read', 'execve', 'openat', 'socket', 'clone', 'futex', 'chroot', 'ptrace'])
      expect(names).toContain(name);
    expect(new Set(names.filter((name) => names.indexOf(name) !== names.lastIndexOf(name)))).toEqual(
      new Set(['socket', 'personality']),
    );
  });

  test('follows the capabilities', () => {
    expect(allowed(defaultSeccomp(['CAP_SYS_TIME']))).toContain('clock_settime');
    const admin = defaultSeccomp(['CAP_SYS_ADMIN']);
    expect(allowed(admin)).toEqual(expect.arrayContaining(['mount', 'unshare', 'clone3']));
    const clone3 = (filter: typeof admin) => filter.syscalls!.find(({ errnoRet }) => errnoRet === 38)?.names;
    expect(clone3(admin)).toBeUndefined();
    expect(clone3(defaultSeccomp([]))).toEqual(['clone3']);
  });

  test('is for the machine’s kinds of programs', () => {
    expect(defaultSeccomp([], 'arm64').architectures).toEqual(['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']);
    expect(allowed(defaultSeccomp([], 'arm64'))).not.toContain('arch_prctl');
  });
});

describe('--security-opt seccomp=', () => {
  test('is the default where nothing is said, and none for unconfined and for --privileged', () => {
    expect(ofOption(null)).toEqual(defaultSeccomp(DOCKER_CAPABILITIES));
    expect(ofOption('seccomp=builtin')).toEqual(defaultSeccomp(DOCKER_CAPABILITIES));
    expect(ofOption('seccomp=unconfined')).toBeUndefined();
    expect(ofOption('seccomp:unconfined')).toBeUndefined();
    expect(ofOption(null, Object.keys(CAPABILITIES) as Capability[], true)).toBeUndefined();
  });

  test('takes a profile in Docker’s format, with its conditions', () => {
    const [machine, go] =
      process.arch === 'x64' ? ['SCMP_ARCH_X86_64', 'amd64'] : ['SCMP_ARCH_AARCH64', 'arm64'];
    const profile = {
      defaultAction: 'SCMP_ACT_ERRNO',
      archMap: [
        { architecture: 'SCMP_ARCH_S390X', subArchitectures: ['SCMP_ARCH_S390'] },
        { architecture: machine, subArchitectures: ['SCMP_ARCH_X86'] },
      ],
      syscalls: [
        { names: ['a'], action: 'SCMP_ACT_ALLOW', args: [], includes: {}, excludes: {} },
        { name: 'b', action: 'SCMP_ACT_ERRNO', errnoRet: 5 },
        { names: ['c'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
        { names: ['d'], action: 'SCMP_ACT_ALLOW', excludes: { caps: ['CAP_SYS_ADMIN'] } },
        { names: ['e'], action: 'SCMP_ACT_ALLOW', includes: { arches: [go], minKernel: '4.8' } },
        { names: ['f'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['s390x'] } },
        { names: ['g'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '99.0' } },
      ],
    };
    const option = `seccomp=${JSON.stringify(profile)}`;
    expect(ofOption(option)).toEqual({
      defaultAction: 'SCMP_ACT_ERRNO',
      architectures: [machine, 'SCMP_ARCH_X86'],
      syscalls: [
        { names: ['a'], action: 'SCMP_ACT_ALLOW' },
        { names: ['b'], action: 'SCMP_ACT_ERRNO', errnoRet: 5 },
        { names: ['d'], action: 'SCMP_ACT_ALLOW' },
        { names: ['e'], action: 'SCMP_ACT_ALLOW' },
      ],
    });
    expect(ofOption(option, ['CAP_SYS_ADMIN'])!.syscalls!.map(({ names }) => names[0])).toEqual([
      'a',
      'b',
      'c',
      'e',
    ]);
  });

  test('refuses what is no profile, and says why', () => {
    expect(() => ofOption('seccomp={"a"')).toThrow(/Decoding seccomp profile failed: .*JSON/);
    expect(() => ofOption('seccomp=[]')).toThrow('a profile is a JSON object');
    expect(() => ofOption('seccomp={}')).toThrow('defaultAction is missing');
    expect(() =>
      ofOption(
        'seccomp={"defaultAction":"SCMP_ACT_ALLOW","architectures":["x"],"archMap":[{"architecture":"x"}]}',
      ),
    ).toThrow("both 'architectures' and 'archMap'");
  });

  test('on the command line sends what the file says', () => {
    const file = join(dir, 'profile.json');
    writeFileSync(file, '{ "defaultAction":\n "SCMP_ACT_ALLOW" }');
    expect(parseSecurityOpt(`seccomp=${file}`)).toBe('seccomp={"defaultAction":"SCMP_ACT_ALLOW"}');
    for (const text of ['seccomp=unconfined', 'seccomp=builtin', 'no-new-privileges', 'label=disable'])
      expect(parseSecurityOpt(text)).toBe(text);
    expect(() => parseSecurityOpt('seccomp=/no/such')).toThrow(
      'opening seccomp profile (/no/such) failed: no such file',
    );
    writeFileSync(file, '{');
    expect(() => parseSecurityOpt(`seccomp=${file}`)).toThrow('compacting json for seccomp profile');
    expect(() => parseSecurityOpt('nonsense')).toThrow('invalid --security-opt: "nonsense"');
  });
});
