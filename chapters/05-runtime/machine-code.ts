/** What a call of a tiny program is given: a number, an address that `place` has given, or STACK. */
export type Argument = number | typeof STACK;
/** A few bytes on the stack that nobody needs: for what a call writes. */
export const STACK = Symbol('stack');

/** A system call of a tiny program. Where it fails the program says `complaint` on standard error, and ends with status 1. */
export interface Call {
  name: keyof (typeof SYSTEM_CALLS)['x64'];
  args: readonly Argument[];
  complaint: string;
}

/** Numbers of system calls. Source: syscall_64.tbl and asm-generic/unistd.h of Linux. */
const SYSTEM_CALLS = {
  x64: { read: 0, close: 3, capset: 126, seccomp: 317, execve: 59, write: 1, exit_group: 231 },
  arm64: { read: 63, close: 57, capset: 91, seccomp: 277, execve: 221, write: 64, exit_group: 94 },
} as const;

const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const LOAD_ADDRESS = 0x400000;
const MACHINES = { x64: 62, arm64: 183 } as const;

/**
 * An ELF executable that makes the calls of `list`, one after the other, and then execve(argv[0], argv + 1, envp). It has no library, no heap and
 * nothing to write to but its stack. Undefined for a kind of machine whose code is not known here.
 * @param list gets `place`, which puts bytes into the program and says at which address they will be
 * @param complaint when the last call fails
 * Source: elf(5); the stack at a program's start is in the System V ABI, "Process Initialization".
 */
export function tinyProgram(
  arch: string,
  list: (place: (bytes: Buffer) => number) => readonly Call[],
  complaint: string,
): Buffer | undefined {
  if (arch !== 'x64' && arch !== 'arm64') return undefined;
  const data: Buffer[] = [];
  let end = LOAD_ADDRESS + ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;
  const place = (bytes: Buffer): number => {
    const padded = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 7)]); // instructions of arm64 begin at multiples of four
    data.push(padded);
    end += padded.length;
    return end - padded.length;
  };
  const machine = arch === 'x64' ? codeX64 : codeArm64;
  const complain = (text: string): [address: number, length: number] => [
    place(Buffer.from(text)),
    Buffer.byteLength(text),
  ];
  const calls = list(place).map((call) => ({ ...call, complaint: complain(call.complaint) }));
  const { code, entry } = machine(calls, complain(complaint));
  return Buffer.concat([headers(MACHINES[arch], end + entry, end + code.length), ...data, code]);
}

function headers(machine: number, entry: number, end: number): Buffer {
  const bytes = Buffer.alloc(ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES);
  bytes.write('\x7fELF\x02\x01\x01', 'latin1'); // 64 bits, little endian, version 1
  bytes.writeUInt16LE(2, 16); // ET_EXEC
  bytes.writeUInt16LE(machine, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BigInt(entry), 24);
  bytes.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32); // program headers
  bytes.writeUInt16LE(ELF_HEADER_BYTES, 52);
  bytes.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  bytes.writeUInt16LE(1, 56); // one of them: load the whole file, readable and executable
  bytes.writeUInt32LE(1, 64);
  bytes.writeUInt32LE(5, 68);
  bytes.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 80);
  bytes.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 88);
  bytes.writeBigUInt64LE(BigInt(end - LOAD_ADDRESS), 96);
  bytes.writeBigUInt64LE(BigInt(end - LOAD_ADDRESS), 104);
  bytes.writeBigUInt64LE(0x10000n, 112); // alignment: the largest page there is
  return bytes;
}

/** A call whose complaint has its place. */
type PlacedCall = Omit<Call, 'complaint'> & { complaint: Complaint };
type Complaint = readonly [address: number, length: number];
/** Instructions, and where among them the program begins. */
type Code = { code: Buffer; entry: number };

//#region code
// Where a call fails stands first, so that every jump there is one back, over a distance that is known.
// A script `#!/proc/self/exe` brings the program to itself, each time with one argument less: with one left it gives up.

function codeX64(calls: readonly PlacedCall[], complaint: Complaint): Code {
  const numbers = SYSTEM_CALLS.x64;
  const code: number[] = [];
  const add = (hex: string): void => void code.push(...Buffer.from(hex, 'hex'));
  const word = (value: number): string => Buffer.from(new Int32Array([value]).buffer).toString('hex');
  const [rax, rdx, rsi, rdi, r8, r9, r10, r12, r13] = [0, 2, 6, 7, 8, 9, 10, 12, 13] as const;
  /** mov register, value; or lea register, [rsp-64] */
  const set = (register: number, value: Argument): void => {
    const low = register & 7;
    const high = register >> 3;
    if (value === STACK) add(`${(0x48 + 4 * high).toString(16)}8d${hex(0x84 + 8 * low)}24${word(-64)}`);
    else add(`${(0x48 + high).toString(16)}c7${hex(0xc0 + low)}${word(value)}`);
  };
  const orFail = (): void => add(`0f88${word(fail - (code.length + 6))}`); // js fail
  const complainBy = ([address, length]: Complaint): void => (set(r12, address), set(r13, length));

  const fail = code.length;
  set(rdi, 2); //              standard error
  add('4c89e6'); //            mov rsi, r12
  add('4c89ea'); //            mov rdx, r13
  set(rax, numbers.write);
  add('0f05'); //              syscall
  set(rdi, 1);
  set(rax, numbers.exit_group);
  add('0f05'); //              syscall

  const entry = code.length;
  for (const call of calls) {
    complainBy(call.complaint);
    call.args.forEach((argument, i) => set([rdi, rsi, rdx, r10, r8, r9][i]!, argument));
    set(rax, numbers[call.name]);
    add('0f05'); //            syscall
    add('4885c0'); //          test rax, rax
    orFail();
  }
  complainBy(complaint);
  add('488b0424'); //          mov rax, [rsp]         argc
  add('4883e802'); //          sub rax, 2
  orFail();
  add('488b7c2408'); //        mov rdi, [rsp+8]       argv[0]
  add('488d742410'); //        lea rsi, [rsp+16]      argv + 1
  add('488d54c420'); //        lea rdx, [rsp+rax*8+32]   envp: rax is argc - 2
  set(rax, numbers.execve);
  add('0f05'); //              syscall
  add('4885c0'); //            test rax, rax
  orFail();
  return { code: Buffer.from(code), entry };
}
//#endregion

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

function codeArm64(calls: readonly PlacedCall[], complaint: Complaint): Code {
  const numbers = SYSTEM_CALLS.arm64;
  const code: number[] = [];
  /** movz register, low half; movk register, high half; or sub register, sp, #64 */
  const set = (register: number, value: Argument): void => {
    if (value === STACK) return void code.push(0xd10103e0 | register);
    code.push(0xd2800000 | ((value & 0xffff) << 5) | register);
    code.push(0xf2a00000 | ((value >>> 16) << 5) | register);
  };
  const orFail = (): void => void code.push(0xb7f80000 | (((fail - code.length) & 0x3fff) << 5)); // tbnz x0, #63, fail
  const complainBy = ([address, length]: Complaint): void => (set(19, address), set(20, length));

  const fail = code.length;
  set(0, 2); //             standard error
  code.push(0xaa1303e1); // mov x1, x19
  code.push(0xaa1403e2); // mov x2, x20
  set(8, numbers.write);
  code.push(0xd4000001); // svc #0
  set(0, 1);
  set(8, numbers.exit_group);
  code.push(0xd4000001); // svc #0

  const entry = code.length * 4;
  for (const call of calls) {
    complainBy(call.complaint);
    call.args.forEach((argument, i) => set(i, argument));
    set(8, numbers[call.name]);
    code.push(0xd4000001); // svc #0
    orFail();
  }
  complainBy(complaint);
  code.push(0xf94003e2); // ldr x2, [sp]             argc
  code.push(0xd1000840); // sub x0, x2, #2
  orFail();
  code.push(0xf94007e0); // ldr x0, [sp, #8]         argv[0]
  code.push(0x910043e1); // add x1, sp, #16          argv + 1
  code.push(0x8b226fe2); // add x2, sp, x2, lsl #3
  code.push(0x91004042); // add x2, x2, #16          envp
  set(8, numbers.execve);
  code.push(0xd4000001); // svc #0
  orFail();
  const bytes = Buffer.alloc(code.length * 4);
  code.forEach((instruction, i) => bytes.writeUInt32LE(instruction >>> 0, i * 4));
  return { code: bytes, entry };
}
