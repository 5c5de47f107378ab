import { existsSync } from 'node:fs';
import {
  ConfigError,
  absolutePath,
  absolutePathOrEmpty,
  array,
  boolean,
  brief,
  closedRecord,
  empty,
  fail,
  int,
  int64,
  limit,
  noNul,
  nonEmpty,
  nonEmptyString,
  number,
  object,
  oneOf,
  record,
  string,
  type Check,
} from './config-checks.ts';
import {
  IO_CLASSES,
  parseProcessors,
  PERSONALITIES,
  SCHEDULER_FLAGS,
  SCHEDULER_POLICIES,
  type OciScheduler,
} from './scheduling.ts';
import { HOOK_KINDS, NAMESPACE_TYPES, type OciProcess, type OciSpec } from './spec.ts';

/**
 * Checks a parsed config.json, all of it that this runtime reads, before anything is made. Unknown properties are let pass, as
 * the specification demands; known ones that are not done here are refused, never ignored.
 * @throws ConfigError that names the property, what was found and what is allowed
 */
export function validateSpec(spec: unknown): asserts spec is OciSpec {
  object(SPEC)(spec, '');
}

/** The same for a process alone, as `exec --process` reads it. @throws ConfigError */
export function validateProcess(value: unknown): asserts value is OciProcess {
  object(PROCESS)(value, 'process');
}

// The specification's properties as a table of checks. `?` at the end of a name: it may be missing.

const idMappings: Check = array(object({ containerID: int(), hostID: int(), size: int(1) }));

const HOOK: Record<string, Check> = {
  path: absolutePath,
  'args?': array(string),
  'env?': array(string),
  'timeout?': int(1),
};

const capabilitySets = ['bounding', 'effective', 'inheritable', 'permitted', 'ambient'] as const;

const PROCESS: Record<string, Check> = {
  'terminal?': boolean,
  'consoleSize?': object({ height: int(), width: int() }),
  cwd: absolutePath,
  'env?': array(noNul),
  args: nonEmpty(array(noNul)),
  'user?': object({
    uid: int(),
    gid: int(),
    'umask?': int(0, 0o777),
    'additionalGids?': array(int()),
  }),
  'capabilities?': object(Object.fromEntries(capabilitySets.map((set) => [`${set}?`, array(string)]))),
  'rlimits?': array(object({ type: string, soft: limit, hard: limit })),
  'noNewPrivileges?': boolean,
  'apparmorProfile?': string,
  'selinuxLabel?': selinux,
  'oomScoreAdj?': int(-1000, 1000),
  'scheduler?': scheduler,
  'ioPriority?': object({ class: oneOf(...Object.keys(IO_CLASSES)), priority: int(0, 7) }),
  'execCPUAffinity?': object({ 'initial?': processors, 'final?': processors }),
};

/** Shapes only: the numbers are chapter 03's to judge. */
const RESOURCES: Record<string, Check> = {
  'devices?': array(
    object({
      allow: boolean,
      'type?': string,
      'major?': number,
      'minor?': number,
      'access?': string,
    }),
  ),
  'memory?': object({}),
  'cpu?': object({ 'cpus?': string, 'mems?': string }),
  'pids?': object({}),
  'blockIO?': object({}),
  'hugepageLimits?': array(object({ pageSize: string, limit: number })),
  'network?': object({}),
  'rdma?': record(object({})),
  'unified?': record(string),
};

const SECCOMP: Record<string, Check> = {
  defaultAction: string,
  'defaultErrnoRet?': int(),
  'architectures?': array(string),
  'flags?': array(string),
  'listenerPath?': string,
  'listenerMetadata?': string,
  'syscalls?': array(
    object({
      names: nonEmpty(array(string)),
      action: string,
      'errnoRet?': int(),
      'args?': array(object({ index: int(0, 5), value: number, 'valueTwo?': number, op: string })),
    }),
  ),
};

const SPEC: Record<string, Check> = {
  ociVersion: version,
  'process?': object(PROCESS),
  root: object({ path: nonEmptyString, 'readonly?': boolean }),
  'hostname?': noNul,
  'domainname?': noNul,
  'mounts?': array(
    object({
      destination: nonEmptyString,
      'type?': string,
      'source?': noNul,
      'options?': array(noNul),
      'uidMappings?': idMappings,
      'gidMappings?': idMappings,
    }),
  ),
  'hooks?': object(Object.fromEntries(HOOK_KINDS.map((kind) => [`${kind}?`, array(object(HOOK))]))),
  'annotations?': record(string),
  'linux?': object({
    'namespaces?': namespaces,
    'uidMappings?': idMappings,
    'gidMappings?': idMappings,
    'timeOffsets?': closedRecord(
      ['monotonic', 'boottime'],
      object({ 'secs?': int64, 'nanosecs?': int(0, 999_999_999) }),
    ),
    'devices?': array(
      object({
        type: oneOf('c', 'u', 'b', 'p'),
        path: absolutePath,
        'major?': int(),
        'minor?': int(),
        'fileMode?': int(0, 0o7777777),
        'uid?': int(),
        'gid?': int(),
      }),
    ),
    'cgroupsPath?': string,
    'resources?': object(RESOURCES),
    'rootfsPropagation?': oneOf(
      '',
      ...['private', 'shared', 'slave', 'unbindable'].flatMap((p) => [p, `r${p}`]),
    ),
    'seccomp?': object(SECCOMP),
    'sysctl?': record(string),
    'maskedPaths?': array(nonEmptyString),
    'readonlyPaths?': array(nonEmptyString),
    'mountLabel?': selinux,
    'intelRdt?': intelRdt,
    'personality?': object({ domain: oneOf(...Object.keys(PERSONALITIES)), 'flags?': empty }),
    // Of 1.3 of the specification.
    'netDevices?': refused,
    'memoryPolicy?': refused,
  }),
  'solaris?': refused,
  'windows?': refused,
  'vm?': refused,
};

// What single properties are held to.

function refused(value: unknown, where: string): void {
  throw new ConfigError(`${where}: this runtime does not do that yet; take it out (it is ${brief(value)})`);
}

/** @throws ConfigError that says whether it is the kernel or this runtime that cannot */
function selinux(value: unknown, where: string): void {
  string(value, where);
  if (value === '') return;
  const why = existsSync('/sys/fs/selinux/enforce')
    ? 'SELinux labels are not done by this runtime'
    : "this machine's kernel has no SELinux, or it is off";
  throw new ConfigError(`${where}: ${why}; take it out (it is ${brief(value)})`);
}

function intelRdt(value: unknown, where: string): void {
  object({})(value, where);
  const why = existsSync('/sys/fs/resctrl/schemata')
    ? 'shares of cache and memory bandwidth (resctrl) are not done by this runtime'
    : 'this machine has no resctrl filesystem at /sys/fs/resctrl';
  throw new ConfigError(`${where}: ${why}; take it out (it is ${brief(value)})`);
}

function processors(value: unknown, where: string): void {
  string(value, where);
  if (value === '') return;
  try {
    parseProcessors(value as string);
  } catch (cause) {
    throw new ConfigError(`${where}: ${(cause as Error).message}`, { cause });
  }
}

/** What a policy allows depends on it. Source: config.md, "process.scheduler". */
function scheduler(value: unknown, where: string): void {
  const time = int(0, Number.MAX_SAFE_INTEGER);
  object({
    policy: oneOf(...Object.keys(SCHEDULER_POLICIES)),
    'nice?': int(-20, 19),
    'priority?': int(0, 99),
    'flags?': array(oneOf(...Object.keys(SCHEDULER_FLAGS))),
    'runtime?': time,
    'deadline?': time,
    'period?': time,
  })(value, where);
  const given = value as OciScheduler;
  const realTime = given.policy === 'SCHED_FIFO' || given.policy === 'SCHED_RR';
  if (given.priority && !realTime)
    fail(`${where}.priority`, 'none: only SCHED_FIFO and SCHED_RR have priorities', given.priority);
  for (const name of ['runtime', 'deadline', 'period'] as const)
    if (given[name] && given.policy !== 'SCHED_DEADLINE')
      fail(`${where}.${name}`, 'none: only SCHED_DEADLINE has times', given[name]);
}

function version(value: unknown, where: string): void {
  if (typeof value !== 'string' || !/^1\.\d+\.\d+(-[\w.+-]+)?(\+[\w.-]+)?$/.test(value))
    fail(where, 'a version 1.x.y of the OCI runtime specification', value);
}

function namespaces(value: unknown, where: string): void {
  array(object({ type: oneOf(...Object.keys(NAMESPACE_TYPES)), 'path?': absolutePathOrEmpty }))(value, where);
  const types = (value as { type: string }[]).map(({ type }) => type);
  const twice = types.find((type, i) => types.indexOf(type) < i);
  if (twice) throw new ConfigError(`${where}: ${JSON.stringify(twice)} is there twice`);
}
