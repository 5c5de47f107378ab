import { closeSync, openSync } from 'node:fs';
import { namespacesOf, setsid } from '../01-processes/index.ts';
import { namespacePath, O_PATH, type NamespaceKind } from '../02-namespaces/index.ts';
import { checkAppArmor } from './apparmor.ts';
import { openConsole, sendTerminal } from './console.ts';
import { openContainer, writePidFile, type Container } from './container.ts';
import type { Context } from './context.ts';
import { checkCapabilities, readIdentity, rlimitNumber } from './identity.ts';
import { joinCgroup } from './exec-cgroup.ts';
import { launch, type NamespacePlan } from './launch.ts';
import { log } from './log.ts';
import { using } from './attach.ts';
import { sendPidfd } from './pidfd.ts';
import { prepareProcess, type ProcessSetup } from './prepare-process.ts';
import { openProcfs } from './procfs.ts';
import { enterSharedRoot } from './rootfs.ts';
import { setAffinity } from './scheduling.ts';
import { sendListener } from './seccomp-listener.ts';
import { compileSeccomp } from './seccomp.ts';
import { ociState } from './state.ts';
import { NAMESPACE_TYPES, type OciProcess } from './spec.ts';
import { becomeProgram } from './trampoline.ts';

/** How to run one more process in a container. */
export interface ExecOptions {
  process: OciProcess;
  pidFile?: string | undefined;
  /** Path of the socket that is to get a descriptor of the process. */
  pidfdSocket?: string | undefined;
  /** A connected socket that is to get the terminal. */
  consoleSocket?: number | undefined;
  preserve?: readonly number[];
  ignorePaused?: boolean;
  /** Cgroups below the container's own to put it into: `PATH`, or `CONTROLLER[,CONTROLLER]:PATH` on v1. */
  cgroup?: readonly string[];
}

/**
 * Runs a process in a container's namespaces and cgroup, with its seccomp filter. Returns its pid once the program itself runs.
 * @throws Error; then there is no process
 */
export function execInContainer(context: Context, id: string, options: ExecOptions): number {
  const container = openContainer(context, id);
  const { process: spec } = options;
  const status = container.status();
  if (status === 'stopped') throw new Error('cannot exec in a stopped container');
  if (status === 'paused' && !options.ignorePaused)
    throw new Error('cannot exec in a paused container (use --ignore-paused to override)');
  checkAppArmor(spec.apparmorProfile);
  for (const { type } of spec.rlimits ?? []) rlimitNumber(type);
  const identity = readIdentity(spec);
  const cgroup = isBornInside(options) ? container.cgroup : undefined;
  const plan = { ...joinPlan(container), oomScoreAdj: spec.oomScoreAdj, cgroup };
  if (plan.join.user === undefined) checkCapabilities(identity);
  const { seccomp, personality } = container.state.spec.linux ?? {};
  const setup: ProcessSetup = {
    process: spec,
    identity,
    filter: seccomp && compileSeccomp(seccomp),
    consoleSocket: options.consoleSocket,
    preserve: options.preserve ?? [],
    personality,
    proc: openProcfs(),
  };
  // Who shares the machine's mounts has no namespace that would lead to its root.
  const sharedRoot =
    plan.join.mnt === undefined ? openSync(`/proc/${container.state.pid}/root`, O_PATH) : undefined;
  let born = 0;
  try {
    return launch(
      plan,
      (channel) => {
        channel.awaitGo();
        channel.send({ type: 'debug', message: 'child process in init()' });
        setsid();
        if (sharedRoot !== undefined) enterSharedRoot(sharedRoot);
        const { program, filter } = prepareProcess(
          setup,
          spec.terminal ? terminal(setup) : undefined,
          channel,
        );
        channel.send({ type: 'debug', message: 'setns_init: about to exec' });
        channel.send({ type: 'ready' });
        channel.awaitGo();
        // The channel closes as the program begins; until then an error still reaches the runtime.
        becomeProgram(program, filter, filter ? undefined : seccomp);
      },
      {
        born: (pid) => {
          born = pid;
          const affinity = spec.execCPUAffinity;
          setAffinity(pid, affinity?.initial, 'process.execCPUAffinity.initial');
          if (!cgroup) joinCgroup(container, pid, options.cgroup ?? []);
          setAffinity(pid, affinity?.final, 'process.execCPUAffinity.final');
        },
        seccomp: (pid, fd) =>
          sendListener(seccomp!, { pid, fd, state: ociState(container.state, container.status()) }),
        debug: (message) => log(context.log, 'debug', message),
        ready: () => {
          if (options.pidFile !== undefined) writePidFile(options.pidFile, born);
          sendPidfd(options.pidfdSocket, born);
        },
      },
    );
  } finally {
    closeSync(setup.proc);
    if (sharedRoot !== undefined) closeSync(sharedRoot);
  }
}

/** Not so where it goes somewhere below, or first to processors that the cgroup may not have. */
const isBornInside = ({ cgroup, process: { execCPUAffinity } }: ExecOptions): boolean =>
  !cgroup?.length && !execCPUAffinity && process.geteuid!() === 0;

/** All namespaces of the first process that are not this runtime's own anyway. */
function joinPlan({ state: { pid } }: Container): NamespacePlan {
  const its = namespacesOf(pid) ?? {};
  const ours = namespacesOf('self') ?? {};
  const kinds = Object.values(NAMESPACE_TYPES).filter((kind) => its[kind] !== ours[kind]);
  return {
    make: new Set(),
    join: Object.fromEntries(kinds.map((kind: NamespaceKind) => [kind, namespacePath(pid, kind)])),
  };
}

/** A terminal of the container's own devpts; /dev/console stays the first process's. */
function terminal({ consoleSocket, process: spec }: ProcessSetup): number {
  const { master, slave } = using(openSync('/', O_PATH), (root) => openConsole(root, spec.consoleSize));
  sendTerminal(consoleSocket!, master);
  return slave;
}
