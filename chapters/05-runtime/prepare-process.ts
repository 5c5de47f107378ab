import { closeSync } from 'node:fs';
import { checked, isErrno, setCapabilities, setCloseOnExec, setNoNewPrivs } from '../01-processes/index.ts';
import { confineOnExec } from './apparmor.ts';
import type { Channel } from './channel.ts';
import { attachConsole } from './console.ts';
import { findExecutable } from './find-executable.ts';
import { become, homeDirectory, ownStdio, setRlimits, type Identity } from './identity.ts';
import { FIRST_DESCRIPTOR, listenFds } from './inherited-descriptors.ts';
import { setIoPriority, setPersonality, setScheduler, type OciPersonality } from './scheduling.ts';
import type { SeccompFilter } from './seccomp.ts';
import type { OciProcess } from './spec.ts';
import { c_close_range } from './syscalls.ts';

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

/**
 * The part that the first process and those of `exec` share: streams, limits, user, capabilities, working directory, the program's file. The
 * process is in the container's root.
 * @throws Error; `exec: "NAME": …` for a program that cannot be had
 */
export function prepareProcess(
  setup: ProcessSetup,
  slave: number | undefined,
  channel: Channel,
): { executable: string; argv: string[]; env: string[] } {
  const { process: spec, identity, filter, preserve, proc } = setup;
  if (slave !== undefined) attachConsole(slave);
  // Every other descriptor closes when the program starts: one left open leads out of the container (CVE-2024-21626).
  checked('close_range', c_close_range(FIRST_DESCRIPTOR, 2 ** 32 - 1, CLOSE_RANGE_CLOEXEC));
  for (const fd of preserve) setCloseOnExec(fd, false);
  setRlimits(spec.rlimits);
  setScheduler(spec.scheduler);
  setIoPriority(spec.ioPriority);
  setPersonality(setup.personality);
  ownStdio(identity.user.uid);
  confineOnExec(proc, spec.apparmorProfile);
  if (spec.noNewPrivileges) setNoNewPrivs();
  enterDirectory(spec.cwd, () => become(withRightToFilter(setup)));
  if (filter?.notifies) introduceSupervisor(setup, channel);
  const env = environment(spec.env ?? [], identity.user.uid);
  return { executable: findExecutable(spec.args![0]!, env), argv: spec.args!, env };
}

const mayFilter = 'CAP_SYS_ADMIN';

/**
 * Without no_new_privs only who has CAP_SYS_ADMIN may set a filter. It is kept among the permitted capabilities until then, and not in force; the
 * start of the program takes it away, because execve(2) makes a new permitted set out of the others. Source: capabilities(7), seccomp(2)
 */
function withRightToFilter({ process: spec, identity, filter }: ProcessSetup): Identity {
  if (!filter || spec.noNewPrivileges) return identity;
  const { capabilities } = identity;
  return {
    ...identity,
    capabilities: {
      ...capabilities,
      permitted: [...new Set([...capabilities.permitted, mayFilter] as const)],
    },
  };
}

/** Sets the filter. Returns the descriptor by which a supervisor is asked, if it asks one. */
function setFilter(setup: ProcessSetup): number | undefined {
  const { permitted, inheritable, effective } = withRightToFilter(setup).capabilities;
  if (!setup.process.noNewPrivileges)
    setCapabilities({ permitted, inheritable, effective: [...new Set([...effective, mayFilter] as const)] });
  return setup.filter!.load();
}

/** Sets a filter that asks a supervisor, and waits until the runtime has handed the descriptor over. */
function introduceSupervisor(setup: ProcessSetup, channel: Channel): void {
  const listener = setFilter(setup)!;
  channel.send({ type: 'seccomp', fd: listener });
  channel.awaitGo();
  closeSync(listener);
}

/**
 * The filter comes last, and need not allow what this runtime does before. But one that asks a supervisor is set while the runtime is there to
 * introduce the two.
 */
export function loadLate(setup: ProcessSetup): void {
  if (setup.filter && !setup.filter.notifies) setFilter(setup);
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
