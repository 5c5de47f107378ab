import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

/**
 * Numbers of system calls, flags, requests and layouts of structures stand in the sources as numbers. Here the C compilers of both
 * processors compare them with the headers of the kernel and of the C library.
 */

const CHAPTERS = join(import.meta.dirname, '..', '..', 'chapters');

/** Objects whose keys are a header's names without their beginning. */
const PREFIXES: Record<string, string> = {
  PR: 'PR_',
  SECBIT: 'SECBIT_',
  CLONE: 'CLONE_',
  MS: 'MS_',
  MNT: 'MNT_',
  MOUNT_ATTR: 'MOUNT_ATTR_',
  SYS: '__NR_',
};

/** In each group of headers: two of them define the same structures, so that no file can include all. */
const HEADERS = [
  'errno fcntl sched signal net/if sys/file sys/ioctl sys/mman sys/mount sys/prctl sys/resource sys/socket sys/stat sys/wait sys/un',
  'linux/btrfs linux/capability linux/close_range linux/fcntl linux/magic linux/memfd linux/mount linux/openat2 linux/prctl linux/sched linux/securebits linux/sockios asm/ioctls asm/unistd',
].map((names) =>
  names
    .split(' ')
    .map((name) => `#include <${name}.h>\n`)
    .join(''),
);

/** What the sources take for granted when they fill a Buffer for the kernel: sizes and offsets, in bytes. */
const LAYOUTS = [
  `sizeof(long) == 8 && sizeof(size_t) == 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
   sizeof(sigset_t) == 128
   sizeof(mode_t) == 4 && sizeof(dev_t) == 8 && sizeof(socklen_t) == 4
   sizeof(struct winsize) == 8 && offsetof(struct winsize, ws_col) == 2
   sizeof(struct timespec) == 16 && sizeof(struct rlimit) == 16
   sizeof(struct iovec) == 16 && sizeof(struct msghdr) == 56
   offsetof(struct msghdr, msg_iov) == 16 && offsetof(struct msghdr, msg_iovlen) == 24
   offsetof(struct msghdr, msg_control) == 32 && offsetof(struct msghdr, msg_controllen) == 40
   offsetof(struct msghdr, msg_flags) == 48
   sizeof(struct cmsghdr) == 16 && offsetof(struct cmsghdr, cmsg_level) == 8 && offsetof(struct cmsghdr, cmsg_type) == 12
   sizeof(struct ifreq) == 40 && offsetof(struct ifreq, ifr_flags) == 16
   offsetof(struct sockaddr_un, sun_path) == 2`,
  `sizeof(struct __user_cap_header_struct) == 8 && sizeof(struct __user_cap_data_struct) == 12
   sizeof(struct vfs_cap_data) == 20 && sizeof(struct vfs_ns_cap_data) == 24
   CLONE_ARGS_SIZE_VER0 == 64 && offsetof(struct clone_args, exit_signal) == 32
   sizeof(struct open_how) == 24 && offsetof(struct open_how, resolve) == 16
   sizeof(struct mount_attr) == 32 && offsetof(struct mount_attr, propagation) == 16`,
].map((lines) => lines.split('\n').map((line) => line.trim()));

/** A constant of the sources that may be a header's. */
interface Constant {
  name: string;
  value: number;
  file: string;
}

const NUMBER = String.raw`((?:0[xo][0-9a-fA-F]+|\d+)(?: << \d+)?)`;

/** Every constant in capitals, and every entry of the objects above, as the sources write them for this processor. */
function constants(arch: 'arm64' | 'x64'): Constant[] {
  return sources().flatMap(({ file, text }) => {
    const own = text.replace(/process\.arch === 'arm64' \? (\d+) : (\d+)/g, arch === 'arm64' ? '$1' : '$2');
    const single = [...own.matchAll(new RegExp(`^(?:export )?const ([A-Z]\\w+) = ${NUMBER};`, 'gm'))].map(
      ([, name, value]) => [name!.replace(/^SYS_/, '__NR_'), value!],
    );
    const entries = [...own.matchAll(/^export const ([A-Z_]+) = (\{.*?\}) as const/gms)].flatMap(
      ([, object, body]) =>
        object! in PREFIXES
          ? [...body!.matchAll(new RegExp(`(\\w+): ${NUMBER}[,\\s]`, 'g'))].map(([, key, value]) => [
              PREFIXES[object!]! + key!,
              value!,
            ])
          : [],
    );
    return [...single, ...entries].map(([name, value]) => ({ name: name!, value: valueOf(value!), file }));
  });
}

/** `0x10`, `1 << 14`. */
function valueOf(text: string): number {
  const [number, shift = '0'] = text.split(' << ');
  return Number(number) * 2 ** Number(shift);
}

const sources = (): { file: string; text: string }[] =>
  readdirSync(CHAPTERS, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.includes('/tests/'))
    .map((file) => ({ file, text: readFileSync(join(CHAPTERS, file), 'utf8') }));

/** What a compiler says of a file of C. */
function compile(compiler: string, source: string, ...flags: string[]): { stdout: string; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), 'processors-'));
  try {
    writeFileSync(join(folder, 'a.c'), `#define _GNU_SOURCE\n#include <stddef.h>\n${source}`);
    const { stdout, stderr, error } = spawnSync(compiler, [...flags, 'a.c'], {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    expect(error, `${compiler} is not there`).toBeUndefined();
    return { stdout, stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Not an integer for the compiler: a pointer to a function. */
const NOT_A_NUMBER = ['SIG_DFL'];

describe.each([
  ['x64', 'x86_64-linux-gnu-gcc'],
  ['arm64', 'aarch64-linux-gnu-gcc'],
] as const)('on %s', (arch, compiler) => {
  test('each constant that has a header’s name has its value', () => {
    const checked = new Set<string>();
    for (const headers of HEADERS) {
      const macros = new Set(
        [...compile(compiler, headers, '-E', '-dM').stdout.matchAll(/^#define (\w+) /gm)].map((m) => m[1]),
      );
      const known = constants(arch).filter(({ name }) => macros.has(name) && !NOT_A_NUMBER.includes(name));
      const asserts = known.map(
        ({ name, value, file }) =>
          `_Static_assert((${name}) == ${value}u, "${file} has ${name} as ${value}");\n`,
      );
      expect(compile(compiler, headers + asserts.join(''), '-fsyntax-only').stderr).toBe('');
      for (const { name } of known) checked.add(name);
    }
    for (const name of [
      '__NR_bpf',
      '__NR_keyctl',
      '__NR_move_mount',
      '__NR_clone3',
      'O_CLOEXEC',
      'O_PATH',
      'TIOCSPTLCK',
      'MS_PRIVATE',
      'CLONE_NEWNS',
      'PR_CAP_AMBIENT',
      'MADV_DOFORK',
      'AT_RECURSIVE',
    ])
      expect(checked).toContain(name);
    expect(checked.size).toBeGreaterThan(90);
  });

  test('structures lie in memory as the sources write them', () => {
    HEADERS.forEach((headers, i) => {
      const asserts = LAYOUTS[i]!.map((fact) => `_Static_assert(${fact}, "layout");\n`).join('');
      const source = `${headers}#include <time.h>\n#include <sys/uio.h>\n${asserts}`;
      expect(compile(compiler, source, '-fsyntax-only').stderr).toBe('');
    });
  });

  test('a wrong number would be seen', () => {
    const wrong = `${HEADERS[0]}_Static_assert(O_CLOEXEC == 1, "x");`;
    expect(compile(compiler, wrong, '-fsyntax-only').stderr).toContain('static assertion failed');
  });
});
