import { errnoName } from '../01-processes/index.ts';
import { exportProgram, FILTER_FLAG, newerCallsPrefix } from './seccomp-program.ts';
import type { OciSeccomp } from './spec.ts';
import { loadLibSeccomp, type LibSeccomp } from './syscalls.ts';

/** Actions, as the kernel's filters return them. Source: seccomp(2), <linux/seccomp.h>. */
export const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0x00000000,
  SCMP_ACT_KILL_THREAD: 0x00000000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
};
/** These carry a number in their low 16 bits: an errno, EPERM if nothing is said. */
const WITH_NUMBER = new Set(['SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE']);
const EPERM = 1;

/** enum scmp_compare */
export const OPERATORS: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

/** AUDIT_ARCH_… of <linux/audit.h>; x32 has a number of libseccomp's own. */
export const ARCHITECTURES: Readonly<Record<string, number>> = {
  SCMP_ARCH_X86: 0x40000003,
  SCMP_ARCH_X86_64: 0xc000003e,
  SCMP_ARCH_X32: 0x4000003e,
  SCMP_ARCH_ARM: 0x40000028,
  SCMP_ARCH_AARCH64: 0xc00000b7,
  SCMP_ARCH_MIPS: 0x00000008,
  SCMP_ARCH_MIPS64: 0x80000008,
  SCMP_ARCH_MIPS64N32: 0xa0000008,
  SCMP_ARCH_MIPSEL: 0x40000008,
  SCMP_ARCH_MIPSEL64: 0xc0000008,
  SCMP_ARCH_MIPSEL64N32: 0xe0000008,
  SCMP_ARCH_PPC: 0x00000014,
  SCMP_ARCH_PPC64: 0x80000015,
  SCMP_ARCH_PPC64LE: 0xc0000015,
  SCMP_ARCH_S390: 0x00000016,
  SCMP_ARCH_S390X: 0x80000016,
  SCMP_ARCH_RISCV64: 0xc00000f3,
};

/** enum scmp_filter_attr */
const ATTRIBUTE_NNP = 3;
const FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: FILTER_FLAG.TSYNC,
  SECCOMP_FILTER_FLAG_LOG: FILTER_FLAG.LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: FILTER_FLAG.SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: FILTER_FLAG.WAIT_KILLABLE_RECV,
};
export const SECCOMP_FLAGS: readonly string[] = Object.keys(FLAGS);
const ENOSYS = 38;
/** libseccomp's answer when something is there already. */
const EEXIST = -17;

/** A compiled filter: to be put on this thread, once. */
export interface SeccompFilter {
  /** Whether it asks a supervisor (SCMP_ACT_NOTIFY): then setting it gives the descriptor by which that one is asked. */
  notifies: boolean;
  /** Classic BPF. */
  instructions: Buffer;
  /** Of seccomp(2). */
  flags: number;
}

/**
 * Compiles the filter of config.json by libseccomp. Done before the root changes, because the library is the host's.
 * @throws Error naming the property that libseccomp or this runtime does not know
 */
export function compileSeccomp(seccomp: OciSeccomp): SeccompFilter {
  const library = loadLibSeccomp();
  const fallback = action(seccomp.defaultAction, seccomp.defaultErrnoRet, 'linux.seccomp.defaultAction');
  const filter = library.init(fallback);
  if (!filter) throw new Error(`linux.seccomp.defaultAction: libseccomp refuses ${seccomp.defaultAction}`);
  ok(library.attrSet(filter, ATTRIBUTE_NNP, 0), 'seccomp_attr_set NNP'); // no_new_privs is a property of its own here
  for (const flag of seccomp.flags ?? []) lookup(FLAGS, flag, 'linux.seccomp.flags');
  for (const name of seccomp.architectures ?? []) {
    const token = lookup(ARCHITECTURES, name, 'linux.seccomp.architectures');
    const result = library.archAdd(filter, token);
    if (result !== EEXIST) ok(result, `seccomp_arch_add ${name}`);
  }
  (seccomp.syscalls ?? []).forEach((rule, i) => {
    const where = `linux.seccomp.syscalls[${i}]`;
    const act = action(rule.action, rule.errnoRet, `${where}.action`);
    if (act === fallback) return; // libseccomp refuses a rule that changes nothing
    for (const name of rule.names) {
      const number = library.resolveName(name);
      if (number === -1) continue; // no machine that libseccomp knows has this call: nothing to allow or forbid
      for (const args of argumentLists(rule.args ?? [], where))
        ok(library.ruleAdd(filter, act, number, args.length / ARG_BYTES, args), `${where} ${name}`);
    }
  });
  const notifies = usesNotify(seccomp);
  const flags = (seccomp.flags ?? []).reduce((all, flag) => all | FLAGS[flag]!, 0);
  const instructions = Buffer.concat([
    newerCallsPrefix(isPermissive(seccomp) ? new Map() : newestCalls(library, seccomp)),
    exportProgram(library, filter),
  ]);
  library.release(filter);
  return { notifies, instructions, flags: flags | (notifies ? FILTER_FLAG.NEW_LISTENER : 0) };
}

/** Whether a call that no rule names is let through, or gets ENOSYS already. */
const isPermissive = ({ defaultAction, defaultErrnoRet }: OciSeccomp): boolean =>
  ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(defaultAction) || defaultErrnoRet === ENOSYS;

/** By machine, the highest number of a call that a rule names. x32 is left to the filter: it has no number of its own in the kernel. */
function newestCalls(
  library: LibSeccomp,
  { architectures = [], syscalls = [] }: OciSeccomp,
): Map<number, number> {
  const own = process.arch === 'arm64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64';
  const names = new Set(syscalls.flatMap((rule) => rule.names));
  const machines = [...new Set([own, ...architectures])].filter((name) => name !== 'SCMP_ARCH_X32');
  return new Map(
    machines
      .map((machine): [number, number] => {
        const token = ARCHITECTURES[machine]!;
        return [token, Math.max(...[...names].map((name) => library.resolveNameOf(token, name)))];
      })
      .filter(([, number]) => number >= 0),
  );
}

const NOTIFY = 'SCMP_ACT_NOTIFY';

/**
 * Whether a filter asks a supervisor.
 * @throws Error where nobody could be asked: without a socket; or with write(2), by which this runtime tells of the descriptor
 */
function usesNotify({ defaultAction, syscalls = [], listenerPath }: OciSeccomp): boolean {
  if (defaultAction === NOTIFY)
    throw new Error(`linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action`);
  const asking = syscalls.filter(({ action: each }) => each === NOTIFY);
  if (asking.some(({ names }) => names.includes('write')))
    throw new Error('linux.seccomp.syscalls: SCMP_ACT_NOTIFY cannot be used for the write syscall');
  if (asking.length > 0 && !listenerPath)
    throw new Error('linux.seccomp: SCMP_ACT_NOTIFY needs listenerPath, the socket of who is to answer');
  return asking.length > 0;
}

type Argument = NonNullable<NonNullable<OciSeccomp['syscalls']>[number]['args']>[number];
/** sizeof(struct scmp_arg_cmp): unsigned arg, int op, u64 datum_a, u64 datum_b */
const ARG_BYTES = 24;

/** Conditions are all to hold; but where two are on the same argument, either will do, and each is a rule. As runc has it. */
function argumentLists(args: Argument[], where: string): Buffer[] {
  const twice = new Set(args.map(({ index }) => index)).size < args.length;
  const encoded = args.map(({ index, value, valueTwo = 0, op }) => {
    const bytes = Buffer.alloc(ARG_BYTES);
    bytes.writeUInt32LE(index);
    bytes.writeUInt32LE(lookup(OPERATORS, op, `${where}.args`), 4);
    bytes.writeBigUInt64LE(toU64(value), 8);
    bytes.writeBigUInt64LE(toU64(valueTwo), 16);
    return bytes;
  });
  return twice ? encoded : [Buffer.concat(encoded)];
}

/** JSON's numbers are exact up to 2^53; 2^64 - 1 reads as 2^64. */
const toU64 = (value: number): bigint => {
  const wide = BigInt(Math.trunc(value));
  return wide >= 2n ** 64n ? 2n ** 64n - 1n : BigInt.asUintN(64, wide);
};

function action(name: string, errno: number | undefined, where: string): number {
  const base = lookup(ACTIONS, name, where);
  return WITH_NUMBER.has(name) ? base | ((errno ?? EPERM) & 0xffff) : base;
}

function lookup(table: Readonly<Record<string, number>>, name: string, where: string): number {
  const value = Object.hasOwn(table, name) ? table[name] : undefined;
  if (value === undefined)
    throw new Error(`${where}: unknown ${JSON.stringify(name)}; known are ${Object.keys(table).join(', ')}`);
  return value;
}

function ok(result: number, what: string): void {
  if (result < 0) throw new Error(`linux.seccomp: ${what}: ${errnoName(-result)}`);
}
