import { closeSync, readFileSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { fdPath } from '../02-namespaces/index.ts';
import { BPF_INSTRUCTION_BYTES, c_memfd_create, c_seccomp_set_filter, type LibSeccomp } from './syscalls.ts';

/** Flags of seccomp(2) for SECCOMP_SET_MODE_FILTER. */
export const FILTER_FLAG = {
  TSYNC: 1,
  LOG: 2,
  SPEC_ALLOW: 4,
  NEW_LISTENER: 8,
  WAIT_KILLABLE_RECV: 32,
} as const;

/** The program that libseccomp has made of a filter. */
export function exportProgram(library: LibSeccomp, filter: unknown): Buffer {
  const fd = checked('memfd_create', c_memfd_create('seccomp', MFD_CLOEXEC));
  try {
    const result = library.exportProgram(filter, fd);
    if (result < 0) throw new Error(`linux.seccomp: seccomp_export_bpf: ${result}`);
    return readFileSync(fdPath(fd));
  } finally {
    closeSync(fd);
  }
}

const MFD_CLOEXEC = 1;

/**
 * Puts a program on this thread, for good. Returns the listener's descriptor when `flags` ask for one.
 * @throws SyscallError EACCES without no_new_privs and CAP_SYS_ADMIN; EINVAL for a program longer than 4096 instructions
 */
export function setFilter(program: Buffer, flags: number): number {
  return checked('seccomp', c_seccomp_set_filter(flags, program), 'SECCOMP_SET_MODE_FILTER');
}

/** struct sock_fprog, for a program that is at an address already. @param length in bytes */
export function filterProgram(length: number, address: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(length / BPF_INSTRUCTION_BYTES);
  bytes.writeBigUInt64LE(BigInt(address), 8);
  return bytes;
}

// Instructions of classic BPF. Source: <linux/filter.h>, <linux/bpf_common.h>.
const LOAD_WORD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_GREATER = 0x25;
const JUMP_IF_AT_LEAST = 0x35;
const RETURN = 0x06;

/** Places in struct seccomp_data. */
const NUMBER = 0;
const ARCHITECTURE = 4;

const SECCOMP_RET_ERRNO_ENOSYS = 0x00050000 | 38;
/** On x86-64 the calls of x32 have this bit, and are another machine's. */
const X32_BIT = 0x40000000;
const AUDIT_ARCH_X86_64 = 0xc000003e;

/**
 * A few instructions to stand before a filter: calls that are newer than each that it names get ENOSYS, whatever it says of calls that it
 * does not know. A C library tries the newest call first, and falls back to an older one upon ENOSYS; any other error it takes for an answer.
 * @param newest by machine (AUDIT_ARCH_…): the highest number that the filter names
 */
export function newerCallsPrefix(newest: ReadonlyMap<number, number>): Buffer {
  //#region newerCallsPrefix
  const blocks = [...newest].map(([machine, number]) => {
    const body = [
      instruction(LOAD_WORD, NUMBER),
      ...(machine === AUDIT_ARCH_X86_64 ? [instruction(JUMP_IF_AT_LEAST, X32_BIT, 2, 0)] : []),
      instruction(JUMP_IF_GREATER, number, 0, 1),
      instruction(RETURN, SECCOMP_RET_ERRNO_ENOSYS),
    ];
    return [
      instruction(LOAD_WORD, ARCHITECTURE),
      instruction(JUMP_IF_EQUAL, machine, 0, body.length),
      ...body,
    ];
  });
  //#endregion
  return Buffer.concat(blocks.flat());
}

/** struct sock_filter: how far to jump when it is true, and when it is not. */
function instruction(code: number, k: number, ifTrue = 0, ifFalse = 0): Buffer {
  const bytes = Buffer.alloc(BPF_INSTRUCTION_BYTES);
  bytes.writeUInt16LE(code);
  bytes[2] = ifTrue;
  bytes[3] = ifFalse;
  bytes.writeUInt32LE(k, 4);
  return bytes;
}
