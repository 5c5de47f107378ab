import { closeSync } from 'node:fs';
import { checked, isErrno, setCloseOnExec, setNoNewPrivs } from '../01-processes/index.ts';
import { confineOnExec } from './apparmor.ts';
import type { Channel } from './channel.ts';
import { attachConsole } from './console.ts';
import { keepRightToFilter } from './filter-right.ts';
import { findExecutable } from './find-executable.ts';
import { become, homeDirectory, ownStdio, setRlimits, type Identity } from './identity.ts';
import { FIRST_DESCRIPTOR, listenFds } from './inherited-descriptors.ts';
import { filterHere, type LateFilter } from './last-steps.ts';
import { setIoPriority, setPersonality, setScheduler, type OciPersonality } from './scheduling.ts';
import type { SeccompFilter } from './seccomp.ts';
import type { OciProcess } from './spec.ts';
import { c_close_range } from './syscalls.ts';
import type { Program } from './trampoline.ts';

/** What a process that is to become a container's program has been given. */
export interface ProcessSetup {
  process: OciProcess;
  identity: Identity;
  filter: SeccompFilter | undefined;
  /** Who is to hold the terminal: a connected socket. Undefined without a terminal. */
  consoleSocket: number | undefined;
  /** Descriptors that the program is to have beside its standard streams. */
  preserve: readonly number[];
  /** linux.personality: of every process of the container. */
  personality: OciPersonality | undefined;
  /** Descriptor of the host's /proc: of use after the root has changed, when no path leads there. */
  proc: number;
}

/** What `prepareProcess` has found: the program, and the filter that is still to be set. */
export interface Prepared {
  program: Program;
  filter: LateFilter | undefined;
}

/**
 * The part that the first process and those of `exec` share: streams, limits, user, capabilities, working directory, the program's file. The
 * process is in the container's root.
 * @throws Error; `exec: "NAME": …` for a program that cannot be had
 */
export function prepareProcess(setup: ProcessSetup, slave: number | undefined, channel: Channel): Prepared {
  const { process: spec, preserve, proc } = setup;
  if (slave !== undefined) attachConsole(slave);
  // Every other descriptor closes when the program starts: one left open leads out of the container (CVE-2024-21626).
  checked('close_range', c_close_range(FIRST_DESCRIPTOR, 2 ** 32 - 1, CLOSE_RANGE_CLOEXEC));
  for (const fd of preserve) setCloseOnExec(fd, false);
  setRlimits(spec.rlimits);
  setScheduler(spec.scheduler);
  setIoPriority(spec.ioPriority);
  setPersonality(setup.personality);
  ownStdio(setup.identity.user.uid);
  confineOnExec(proc, spec.apparmorProfile);
  if (spec.noNewPrivileges) setNoNewPrivs();
  const { identity, right } =
    setup.filter && !spec.noNewPrivileges
      ? keepRightToFilter(setup.identity)
      : { identity: setup.identity, right: undefined };
  enterDirectory(spec.cwd, () => become(identity));
  let filter = setup.filter && { ...setup.filter, right };
  // A filter need not allow what this runtime does, and comes last. But one that asks a supervisor is set while the runtime is there to introduce the two.
  if (filter?.notifies) {
    introduceSupervisor(filter, channel);
    filter = undefined;
  }
  const env = environment(spec.env ?? [], identity.user.uid);
  const program = { executable: findExecutable(spec.args![0]!, env), argv: spec.args!, env };
  return { program, filter };
}

/** Sets a filter that asks a supervisor, and waits until the runtime has handed the descriptor over. */
function introduceSupervisor(filter: LateFilter, channel: Channel): void {
  const listener = filterHere(filter)!;
  channel.send({ type: 'seccomp', fd: listener });
  channel.awaitGo();
  closeSync(listener);
}

const CLOSE_RANGE_CLOEXEC = 4;

/** Goes to the working directory, as root or, where root may not (a network file system), as the user. */
function enterDirectory(cwd: string, becomeUser: () => void): void {
  let denied = false;
  try {
    process.chdir(cwd);
  } catch (cause) {
    if (!isErrno(cause, 'EACCES'))
      throw new Error(`chdir to cwd (${JSON.stringify(cwd)}) set in config.json failed`, { cause });
    denied = true;
  }
  becomeUser();
  if (denied) process.chdir(cwd);
  try {
    // glibc gives no name to a directory that lies outside of the root.
    process.cwd();
  } catch (cause) {
    throw new Error(
      `current working directory ${JSON.stringify(cwd)} is outside of container mount namespace root`,
      { cause },
    );
  }
}

function environment(env: readonly string[], uid: number): string[] {
  const all = [...env];
  if (!all.some((entry) => entry.startsWith('HOME='))) all.push(`HOME=${homeDirectory(uid)}`);
  if (listenFds() > 0) all.push(`LISTEN_FDS=${listenFds()}`, 'LISTEN_PID=1');
  return all;
}
