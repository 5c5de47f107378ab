import { checked } from '../01-processes/index.ts';
import { c_ioprio_set, c_personality, c_sched_setaffinity, c_sched_setattr } from './syscalls.ts';

/** Scheduling policies. Source: sched(7). */
export const SCHEDULER_POLICIES = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
} as const;

/** Source: sched_setattr(2), <linux/sched.h>. */
export const SCHEDULER_FLAGS = {
  SCHED_FLAG_RESET_ON_FORK: 0x01,
  SCHED_FLAG_RECLAIM: 0x02,
  SCHED_FLAG_DL_OVERRUN: 0x04,
  SCHED_FLAG_KEEP_POLICY: 0x08,
  SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
} as const;

export const IO_CLASSES = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 } as const;

/** Kinds of machine that a program may see. Source: personality(2). */
export const PERSONALITIES = { LINUX: 0, LINUX32: 8 } as const;

/** When a process runs. Source: config.md, "process.scheduler"; sched_setattr(2). */
export interface OciScheduler {
  policy: keyof typeof SCHEDULER_POLICIES;
  /** -20 (first) to 19 */
  nice?: number;
  /** 1 to 99, for SCHED_FIFO and SCHED_RR */
  priority?: number;
  flags?: (keyof typeof SCHEDULER_FLAGS)[];
  /** nanoseconds, for SCHED_DEADLINE */
  runtime?: number;
  deadline?: number;
  period?: number;
}

export interface OciIoPriority {
  class: keyof typeof IO_CLASSES;
  /** 0 (first) to 7 */
  priority: number;
}

export interface OciPersonality {
  domain: keyof typeof PERSONALITIES;
}

/** sizeof(struct sched_attr), in its first version. */
const SCHED_ATTR_BYTES = 48;

/**
 * process.scheduler: how the kernel chooses when this process runs; what it starts inherits it.
 * @throws Error EPERM without CAP_SYS_NICE; EINVAL for numbers that the policy does not allow
 */
export function setScheduler(scheduler: OciScheduler | undefined): void {
  if (!scheduler) return;
  const { policy, flags = [], nice = 0, priority = 0, runtime = 0, deadline = 0, period = 0 } = scheduler;
  const attr = Buffer.alloc(SCHED_ATTR_BYTES);
  attr.writeUInt32LE(SCHED_ATTR_BYTES);
  attr.writeUInt32LE(SCHEDULER_POLICIES[policy], 4);
  attr.writeBigUInt64LE(BigInt(flags.reduce((all, flag) => all | SCHEDULER_FLAGS[flag], 0)), 8);
  attr.writeInt32LE(nice, 16);
  attr.writeUInt32LE(priority, 20);
  [runtime, deadline, period].forEach((time, i) => attr.writeBigUInt64LE(BigInt(time), 24 + i * 8));
  named('process.scheduler', () => checked('sched_setattr', c_sched_setattr(0, attr), policy));
}

const IOPRIO_WHO_PROCESS = 1;
const IOPRIO_CLASS_SHIFT = 13;

/** process.ioPriority: whose reads and writes come first. Source: ioprio_set(2). @throws Error EPERM for the class RT without rights */
export function setIoPriority(io: OciIoPriority | undefined): void {
  if (!io) return;
  const value = (IO_CLASSES[io.class] << IOPRIO_CLASS_SHIFT) | io.priority;
  named('process.ioPriority', () =>
    checked('ioprio_set', c_ioprio_set(IOPRIO_WHO_PROCESS, 0, value), `${io.class} ${io.priority}`),
  );
}

/**
 * linux.personality: which machine uname(2) tells of, and what else differs between kinds of Linux.
 * Source: personality(2).
 */
export function setPersonality(personality: OciPersonality | undefined): void {
  if (!personality) return;
  const { domain } = personality;
  named('linux.personality', () =>
    checked('personality', c_personality(PERSONALITIES[domain]), JSON.stringify(domain)),
  );
}

/** Lets `pid` run on these processors only. Source: sched_setaffinity(2). @throws Error EINVAL when none of them is there */
export function setAffinity(pid: number, list: string | undefined, property: string): void {
  if (!list) return;
  const processors = parseProcessors(list);
  // The kernel reads words of 64 bits.
  const mask = Buffer.alloc((Math.floor(Math.max(...processors) / 64) + 1) * 8);
  for (const processor of processors) mask[processor >> 3]! |= 1 << (processor & 7);
  named(property, () =>
    checked('sched_setaffinity', c_sched_setaffinity(pid, mask.length, mask), JSON.stringify(list)),
  );
}

const MAX_PROCESSORS = 8192;

/** `0-3,7` as numbers. @throws Error for anything else */
export function parseProcessors(list: string): number[] {
  return list.split(',').flatMap((part) => {
    const [, first, last = first] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (first === undefined || from > to || to >= MAX_PROCESSORS)
      throw new Error(`${JSON.stringify(list)} is no list of processors, such as 0-3,7`);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

function named(property: string, call: () => void): void {
  try {
    call();
  } catch (cause) {
    throw new Error(property, { cause });
  }
}
