import { closeSync, openSync } from 'node:fs';
import { checked, isErrno } from '../01-processes/index.ts';
import { deviceList, type DeviceList } from './devices.ts';
import type { DeviceRule } from './resources.ts';
import { c_bpf, memoryOf, readWords, SYS_bpf } from './syscalls.ts';

/**
 * Makes the kernel ask, at every opening and making of a device file by a process of this cgroup, a program that we write: that is
 * v2's devices controller. A program from an earlier call is replaced.
 * @param folder the cgroup's folder in the tree of v2
 * Source: bpf(2); BPF_PROG_TYPE_CGROUP_DEVICE in linux/bpf.h
 * @throws Error when the kernel has no such programs, or the process lacks CAP_BPF and CAP_SYS_ADMIN
 */
export function setDeviceProgram(folder: string, rules: readonly DeviceRule[]): void {
  const program = assemble(deviceList(rules));
  const cgroup = openSync(folder, 'r');
  try {
    const before = attachedPrograms(cgroup);
    const fd = load(program);
    try {
      bpf(BPF.PROG_ATTACH, attr({ 0: cgroup, 4: fd, 8: CGROUP_DEVICE, 12: ALLOW_MULTI }));
    } finally {
      closeSync(fd); // the cgroup holds it now
    }
    // Until the old ones are gone, a device must pass all of them: for a moment less is allowed, never more.
    for (const id of before) detach(cgroup, id);
  } catch (error) {
    throw new Error(`device rules could not be set for ${folder}`, { cause: error });
  } finally {
    closeSync(cgroup);
  }
}

const BPF = { PROG_LOAD: 5, PROG_ATTACH: 8, PROG_DETACH: 9, PROG_GET_FD_BY_ID: 13, PROG_QUERY: 16 } as const;
const PROG_TYPE_CGROUP_DEVICE = 15;
const CGROUP_DEVICE = 6;
const ALLOW_MULTI = 2;
const TYPES = { b: 1, c: 2 } as const;
const ACCESS = { m: 1, r: 2, w: 4 } as const;
const ALL_ACCESS = 7;

/**
 * The program, in BPF's machine language: eight bytes an instruction, registers r0 to r10. It starts with r1 pointing at three words, {access and type,
 * major, minor}, and ends with r0 = 1 (allowed) or 0 (EPERM).
 */
export function assemble({ allowAll, exceptions }: DeviceList): Buffer {
  //#region assemble
  const code: Buffer[] = [
    instruction(LOAD_WORD, 2, 1, 0, 0), // r2 = access << 16 | type
    instruction(MOVE_REG, 3, 2, 0, 0),
    instruction(AND, 2, 0, 0, 0xffff), // r2 = type
    instruction(SHIFT_RIGHT, 3, 0, 0, 16), // r3 = access
    instruction(LOAD_WORD, 4, 1, 4, 0), // r4 = major
    instruction(LOAD_WORD, 5, 1, 8, 0), // r5 = minor
  ];
  for (const { type, major, minor, access } of exceptions) {
    const mask = [...access].reduce((bits, letter) => bits | ACCESS[letter as keyof typeof ACCESS], 0);
    // Each test jumps over the rest of this exception when it does not hold; how far is known at the end.
    const tests: ((distance: number) => Buffer)[] = [(d) => instruction(JUMP_IF_NOT, 2, 0, d, TYPES[type])];
    if (mask !== ALL_ACCESS) {
      tests.push(() => instruction(MOVE_REG, 6, 3, 0, 0));
      tests.push(() => instruction(AND, 6, 0, 0, mask));
      // An exception that allows must cover all that is asked for; one that denies, only touch it.
      if (allowAll) tests.push((d) => instruction(JUMP_IF, 6, 0, d, 0));
      else tests.push((d) => instruction(JUMP_IF_NOT_REG, 6, 3, d, 0));
    }
    if (major !== '*') tests.push((d) => instruction(JUMP_IF_NOT, 4, 0, d, major));
    if (minor !== '*') tests.push((d) => instruction(JUMP_IF_NOT, 5, 0, d, minor));
    tests.forEach((test, i) => code.push(test(tests.length - i + 1)));
    code.push(instruction(MOVE, 0, 0, 0, allowAll ? 0 : 1), instruction(EXIT, 0, 0, 0, 0));
  }
  code.push(instruction(MOVE, 0, 0, 0, allowAll ? 1 : 0), instruction(EXIT, 0, 0, 0, 0));
  return Buffer.concat(code);
  //#endregion
}

// Operation codes: class (load 1, 32-bit arithmetic 4, jump 5, arithmetic 7), operand (0 a number, 8 a register), operation.
const LOAD_WORD = 0x61;
const MOVE = 0xb7;
const MOVE_REG = 0xbc;
const AND = 0x54;
const SHIFT_RIGHT = 0x74;
const JUMP_IF = 0x15;
const JUMP_IF_NOT = 0x55;
const JUMP_IF_NOT_REG = 0x5d;
const EXIT = 0x95;

function instruction(code: number, to: number, from: number, offset: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8((from << 4) | to, 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(value | 0, 4);
  return bytes;
}

/** Hands a program to the kernel, which proves that it ends and reads only what it may. Returns its descriptor. */
function load(program: Buffer): number {
  const code = memoryOf(program);
  const license = memoryOf(Buffer.from('Apache-2.0\0'));
  return bpf(
    BPF.PROG_LOAD,
    attr({ 0: PROG_TYPE_CGROUP_DEVICE, 4: program.length / 8, 8: code.address, 16: license.address }),
  );
}

/** The ids of the device programs attached to this cgroup itself. */
function attachedPrograms(cgroup: number): number[] {
  const ids = Buffer.alloc(4 * 64);
  const { memory, address } = memoryOf(ids);
  const query = attr({ 0: cgroup, 4: CGROUP_DEVICE, 16: address, 24: 64 });
  bpf(BPF.PROG_QUERY, query);
  return readWords(memory, query.readUInt32LE(24));
}

function detach(cgroup: number, id: number): void {
  try {
    const fd = bpf(BPF.PROG_GET_FD_BY_ID, attr({ 0: id }));
    try {
      bpf(BPF.PROG_DETACH, attr({ 0: cgroup, 4: fd, 8: CGROUP_DEVICE }));
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error; // somebody else has detached it
  }
}

/** The union that bpf(2) takes: values by their offset, 32 bits for numbers and 64 for addresses. */
function attr(fields: Record<number, number | bigint>): Buffer {
  const union = Buffer.alloc(128);
  for (const [offset, value] of Object.entries(fields))
    if (typeof value === 'bigint') union.writeBigUInt64LE(value, Number(offset));
    else union.writeUInt32LE(value, Number(offset));
  return union;
}

function bpf(cmd: number, union: Buffer): number {
  const name = Object.entries(BPF).find(([, value]) => value === cmd)![0];
  return checked('bpf', Number(c_bpf(SYS_bpf, cmd, union, union.length)), `BPF_${name}`);
}
