import { closeSync, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  checked,
  execve,
  isErrno,
  resetSignalsForExec,
  setCloseOnExec,
  SyscallError,
} from '../01-processes/index.ts';
import { O_PATH, openInRoot } from '../02-namespaces/index.ts';
import { using } from './attach.ts';
import type { OciSeccomp } from './spec.ts';
import { c_execveat, c_fcntl, c_memfd_create } from './syscalls.ts';

/**
 * Becomes a program of the container, by way of another program of 200 bytes that exists in memory only.
 *
 * Until now this process is the runtime: its /proc/self/exe is the host's Node. An image whose command is a script that begins with
 * `#!/proc/self/exe` would have the kernel start just that, inside the container, where the image chooses its libraries: they could open
 * /proc/self/exe, wait until no runtime runs, and write (CVE-2019-5736). After the first step /proc/self/exe is a sealed file in memory, and
 * there is nothing to be had from it.
 * @param beforehand the last thing to do: the seccomp filter
 * @param seccomp what that filter says: one that forbids execveat(2) leaves only the direct way
 * @throws SyscallError as execve(2)
 */
export function becomeProgram(
  executable: string,
  argv: readonly string[],
  env: readonly string[],
  seccomp: OciSeccomp | undefined,
  beforehand: () => void,
): never {
  const jump = permitsExecveat(seccomp) ? openTrampoline(executable) : undefined;
  if (jump === undefined) refuseMagicLink(executable); // the filter may not let it look
  beforehand();
  if (jump !== undefined) {
    for (const stdio of [0, 1, 2]) setCloseOnExec(stdio, false);
    resetSignalsForExec();
    c_execveat(jump, '', [executable, ...argv, null], [...env, null], AT_EMPTY_PATH);
    // Where files in memory may not be executed, the direct way is left.
    refuseMagicLink(executable);
  }
  return execve(executable, argv, env);
}

/**
 * Without the trampoline execve(2) itself looks the path up, while this process still holds the host's files: `/proc/self/fd/7/bin/sh` would
 * be one of them (CVE-2024-21626), and `/proc/self/exe` the host's Node. By ordinary links no path leads out.
 * @throws SyscallError ELOOP
 */
function refuseMagicLink(executable: string): void {
  using(openSync('/', O_PATH), (root) => closeSync(openInRoot(root, resolve(executable))));
}

/** A descriptor of the sealed program; none on a kind of machine for which it has not been written, or where a filter forbids it. */
function openTrampoline(executable: string): number | undefined {
  const complaint = `exec ${executable}: the kernel cannot start it: no program, or its interpreter is missing\n`;
  const program = trampoline(process.arch, complaint);
  if (!program) return undefined;
  try {
    return sealedFile(program);
  } catch (error) {
    if (error instanceof SyscallError) return undefined;
    throw error;
  }
}

const AT_EMPTY_PATH = 0x1000;
const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2, EXEC: 0x10 } as const;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, SHRINK, GROW, WRITE: nobody can change it any more, and nobody can undo that. */
const ALL_SEALS = 0xf;

function sealedFile(content: Buffer): number {
  const fd = executableMemory();
  writeSync(fd, content);
  checked('fcntl', c_fcntl(fd, F_ADD_SEALS, 'int', ALL_SEALS), 'F_ADD_SEALS');
  return fd;
}

/** Linux 6.3 wants to be told that a file in memory is to be executed; kernels before do not know the flag. */
function executableMemory(): number {
  const flags = MFD.CLOEXEC | MFD.ALLOW_SEALING;
  try {
    return checked('memfd_create', c_memfd_create('trampoline', flags | MFD.EXEC));
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
    return checked('memfd_create', c_memfd_create('trampoline', flags));
  }
}

const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const LOAD_ADDRESS = 0x400000;
const MACHINES = { x64: 62, arm64: 183 } as const;

/**
 * An ELF executable that does one thing: execve(argv[0], argv + 1, envp). If that fails it writes `message` to standard error and
 * ends with status 1. Source: elf(5); the stack at a program's start is in the System V ABI, "Process Initialization".
 */
export function trampoline(arch: string, message: string): Buffer | undefined {
  if (arch !== 'x64' && arch !== 'arm64') return undefined;
  const text = Buffer.from(message);
  const code = arch === 'x64' ? codeX64(text.length) : codeArm64(text.length);
  const size = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES + code.length + text.length;
  const headers = Buffer.alloc(ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES);
  headers.write('\x7fELF\x02\x01\x01', 'latin1'); // 64 bits, little endian, version 1
  headers.writeUInt16LE(2, 16); // ET_EXEC
  headers.writeUInt16LE(MACHINES[arch], 18);
  headers.writeUInt32LE(1, 20);
  headers.writeBigUInt64LE(BigInt(LOAD_ADDRESS + headers.length), 24); // entry point
  headers.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32); // program headers
  headers.writeUInt16LE(ELF_HEADER_BYTES, 52);
  headers.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  headers.writeUInt16LE(1, 56); // one of them: load the whole file, readable and executable
  headers.writeUInt32LE(1, 64);
  headers.writeUInt32LE(5, 68);
  headers.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 80);
  headers.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 88);
  headers.writeBigUInt64LE(BigInt(size), 96);
  headers.writeBigUInt64LE(BigInt(size), 104);
  headers.writeBigUInt64LE(0x10000n, 112); // alignment: the largest page there is
  return Buffer.concat([headers, code, text]);
}

//#region code
// A script `#!/proc/self/exe` brings the trampoline to itself, each time with one argument less: with one left it gives up.

function codeX64(length: number): Buffer {
  const code = Buffer.from(
    [
      '48833c2402', //         cmp qword [rsp], 2     argc
      '721a', //               jb fail
      '488b7c2408', //         mov rdi, [rsp+8]       argv[0]
      '488d742410', //         lea rsi, [rsp+16]      argv + 1
      '488b0424', //           mov rax, [rsp]
      '488d54c410', //         lea rdx, [rsp+rax*8+16]   envp
      'b83b000000', //         mov eax, 59            execve
      '0f05', //               syscall
      'bf02000000', //   fail: mov edi, 2             standard error
      '488d3500000000', //     lea rsi, [rip+text]
      'ba00000000', //         mov edx, length
      'b801000000', //         mov eax, 1             write
      '0f05', //               syscall
      'bf01000000', //         mov edi, 1
      'b8e7000000', //         mov eax, 231           exit_group
      '0f05', //               syscall
    ].join(''),
    'hex',
  );
  const lea = code.indexOf('488d3500000000', 0, 'hex');
  code.writeInt32LE(code.length - (lea + 7), lea + 3);
  code.writeUInt32LE(length, lea + 8);
  return code;
}
//#endregion

function codeArm64(length: number): Buffer {
  const words = [
    0xf94003e2, //       ldr x2, [sp]             argc
    0xf100085f, //       cmp x2, #2
    0x54000003 | (7 << 5), // b.lo fail   (seven words on)
    0xf94007e0, //       ldr x0, [sp, #8]         argv[0]
    0x910043e1, //       add x1, sp, #16          argv + 1
    0x8b226fe2, //       add x2, sp, x2, lsl #3
    0x91004042, //       add x2, x2, #16          envp
    0xd2801ba8, //       mov x8, #221             execve
    0xd4000001, //       svc #0
    0xd2800040, // fail: mov x0, #2               standard error
    0x10000001 | (7 << 5), // adr x1, text
    0xd2800002 | ((length & 0xffff) << 5), // mov x2, length
    0xd2800808, //       mov x8, #64              write
    0xd4000001, //       svc #0
    0xd2800020, //       mov x0, #1
    0xd2800bc8, //       mov x8, #94              exit_group
    0xd4000001, //       svc #0
  ];
  const code = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => code.writeUInt32LE(word >>> 0, i * 4));
  return code;
}

/** Whether a filter lets execveat(2) pass, whatever its arguments: what it says of execve(2) it need not say of this one. */
function permitsExecveat(seccomp: OciSeccomp | undefined): boolean {
  if (!seccomp) return true;
  const rules = seccomp.syscalls?.filter(({ names }) => names.includes('execveat')) ?? [];
  if (rules.length === 0) return PERMISSIVE.has(seccomp.defaultAction);
  return rules.every(({ action }) => PERMISSIVE.has(action)) && rules.some(({ args }) => !args?.length);
}

const PERMISSIVE = new Set(['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG']);
