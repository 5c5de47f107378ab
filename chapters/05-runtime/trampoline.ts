import { closeSync, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { checked, execve, isErrno, resetSignalsForExec, setCloseOnExec } from '../01-processes/index.ts';
import { O_PATH, openInRoot } from '../02-namespaces/index.ts';
import { using } from './attach.ts';
import { filterHere, lastCalls, type LastSteps, type LateFilter } from './last-steps.ts';
import { tinyProgram } from './machine-code.ts';
import type { OciSeccomp } from './spec.ts';
import { c_execveat, c_fcntl, c_memfd_create } from './syscalls.ts';

/** A program to become. */
export interface Program {
  executable: string;
  argv: readonly string[];
  env: readonly string[];
}

/**
 * Becomes a program of the container.
 * @param filter the seccomp filter that it is to have, if it is not over this process already
 * @param inForce the filter that is over this process already
 * @throws SyscallError as execve(2)
 */
export function becomeProgram(program: Program, filter?: LateFilter, inForce?: OciSeccomp): never {
  jump(program, { filter }, inForce);
  refuseMagicLink(program.executable); // the filter may not let it look
  filterHere(filter);
  return execve(program.executable, program.argv, program.env);
}

/**
 * Becomes a program of the container, by way of another program of a few hundred bytes that exists in memory only, the trampoline.
 *
 * Until now this process is the runtime: its /proc/self/exe is the host's Node. An image whose command is a script that begins with
 * `#!/proc/self/exe` would have the kernel start just that, inside the container, where the image chooses its libraries: they could open
 * /proc/self/exe, wait until no runtime runs, and write (CVE-2019-5736). After the first step /proc/self/exe is a sealed file in memory, and
 * there is nothing to be had from it. Nor is there anything else of ours: so it is the trampoline that waits for `start`.
 *
 * Returns only where there can be no trampoline: on a kind of machine for which it has not been written, where no memory may be executed, or where a filter
 * forbids execveat(2).
 * @param steps what is to be done before the program, by the trampoline
 * @param inForce a filter that is over this process already
 */
export function jump({ executable, argv, env }: Program, steps: LastSteps, inForce?: OciSeccomp): void {
  const trampoline = permitsExecveat(inForce) ? openTrampoline(executable, steps) : undefined;
  for (const stdio of [0, 1, 2]) setCloseOnExec(stdio, false);
  if (trampoline === undefined) return;
  if (steps.fifo !== undefined) setCloseOnExec(steps.fifo, false);
  resetSignalsForExec();
  c_execveat(trampoline, '', [executable, ...argv, null], [...env, null], AT_EMPTY_PATH);
  if (steps.fifo !== undefined) setCloseOnExec(steps.fifo, true);
  closeSync(trampoline);
}

/**
 * Without the trampoline execve(2) itself looks the path up, while this process still holds the host's files: `/proc/self/fd/7/bin/sh` would
 * be one of them (CVE-2024-21626), and `/proc/self/exe` the host's Node. By ordinary links no path leads out.
 * @throws SyscallError ELOOP
 */
function refuseMagicLink(executable: string): void {
  using(openSync('/', O_PATH), (root) => closeSync(openInRoot(root, resolve(executable))));
}

/** A descriptor of the sealed program. */
function openTrampoline(executable: string, steps: LastSteps): number | undefined {
  const complaint = `exec ${executable}: the kernel cannot start it: no program, or its interpreter is missing\n`;
  const program = tinyProgram(process.arch, (place) => lastCalls(steps, place, complaint), complaint);
  if (!program) return undefined;
  try {
    return sealedFile(program);
  } catch {
    return undefined; // no memory may be executed (vm.memfd_noexec), or the program's limits are too low for a file
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

/** Whether a filter lets execveat(2) pass, whatever its arguments: what it says of execve(2) it need not say of this one. */
function permitsExecveat(seccomp: OciSeccomp | undefined): boolean {
  if (!seccomp) return true;
  const rules = seccomp.syscalls?.filter(({ names }) => names.includes('execveat')) ?? [];
  if (rules.length === 0) return PERMISSIVE.has(seccomp.defaultAction);
  return rules.every(({ action }) => PERMISSIVE.has(action)) && rules.some(({ args }) => !args?.length);
}

const PERMISSIVE = new Set(['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG']);
