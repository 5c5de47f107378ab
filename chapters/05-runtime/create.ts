import { closeSync, openSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { userName, type NamespaceKind } from '../02-namespaces/index.ts';
import { checkResources, type LinuxResources } from '../03-cgroups/index.ts';
import { checkAppArmor } from './apparmor.ts';
import { openBindSources, type BindSources } from './bind-sources.ts';
import type { Bundle } from './bundle.ts';
import { connectConsoleSocket } from './console.ts';
import {
  checkUsedCgroup,
  containerResources,
  enterNewCgroup,
  newCgroup,
  placeCgroup,
} from './container-cgroup.ts';
import { containerOf, destroy, startTimeOf, writePidFile } from './container.ts';
import type { Context } from './context.ts';
import { runHooks } from './hooks.ts';
import { checkCapabilities, readIdentity, rlimitNumber } from './identity.ts';
import { runInit } from './init.ts';
import { launch, type NamespacePlan } from './launch.ts';
import { makeNotifyFolder, withNotifySocket } from './notify.ts';
import { sendPidfd } from './pidfd.ts';
import { openProcfs } from './procfs.ts';
import { log } from './log.ts';
import { sendListener } from './seccomp-listener.ts';
import { compileSeccomp } from './seccomp.ts';
import { mountsBefore } from './shared-mounts.ts';
import { NAMESPACE_TYPES, type OciSpec } from './spec.ts';
import {
  checkId,
  claimId,
  fifoPath,
  ociState,
  removeState,
  saveState,
  type ContainerState,
} from './state.ts';
import { c_mknodat } from './syscalls.ts';
import { sysctlNamespace } from './sysctl.ts';

/** How to make a container. */
export interface CreateOptions {
  id: string;
  /** What it is made of, read and checked. */
  bundle: Bundle;
  /** File to write the first process's id to. */
  pidFile?: string | undefined;
  /** Path of the socket that is to get a descriptor of the first process. */
  pidfdSocket?: string | undefined;
  /** Path of the socket that is to get the terminal; or, for `run`, an end of a pair. */
  consoleSocket?: string | number | undefined;
  noPivot?: boolean;
  noNewKeyring?: boolean;
  /** Descriptors that the program is to have beside its standard streams. */
  preserve?: readonly number[];
}

/**
 * Makes a container: everything but the start of its program. Its first process waits, in its namespaces and its cgroup, for `start`. When this
 * throws, nothing of the container is left.
 * @throws Error; for what can be known beforehand, before anything is made
 */
export function createContainer(context: Context, options: CreateOptions): ContainerState {
  const { id, bundle } = options;
  checkId(id);
  const spec = withNotifySocket(bundle.spec, context.root, id);
  const identity = readIdentity(spec.process!);
  const resources = containerResources(spec, context);
  checkBeforehand(spec, resources, options);
  if (!spec.linux?.namespaces?.some(({ type }) => type === 'user')) checkCapabilities(identity);
  const cgroupRecord = placeCgroup(spec, id, context);
  const filter = spec.linux?.seccomp && compileSeccomp(spec.linux.seccomp);

  const consoleSocket =
    typeof options.consoleSocket === 'string' && spec.process!.terminal
      ? connectConsoleSocket(options.consoleSocket)
      : (options.consoleSocket as number | undefined);
  const before = mountsBefore(spec, bundle.rootfs);
  const state: ContainerState = {
    version: 1,
    id,
    bundle: bundle.dir,
    rootfs: bundle.rootfs,
    created: new Date().toISOString(),
    owner: userName(process.geteuid!()),
    pid: 0,
    startTime: 0,
    ...cgroupRecord,
    spec,
    ...(before && { mountsBefore: before }),
  };
  const proc = openProcfs();
  let fifo = -1;
  let sources: BindSources = new Map();
  claimId(context.root, id);
  try {
    checkUsedCgroup(context, state);
    // From here on `delete --force` finds everything, should this process be killed.
    saveState(context.root, state);
    try {
      fifo = makeFifo(context.root, state);
      makeNotifyFolder(context.root, id);
      sources = openBindSources(spec.mounts ?? [], bundle.dir, spec.linux ?? {});
      let cgroup = newCgroup(context, state);
      launch(
        { ...namespacePlan(spec), cgroup },
        (channel) =>
          runInit(
            {
              state,
              process: spec.process!,
              identity,
              filter,
              consoleSocket,
              fifo,
              proc,
              sources,
              noPivot: options.noPivot ?? false,
              noNewKeyring: options.noNewKeyring ?? false,
              preserve: options.preserve ?? [],
              personality: spec.linux?.personality,
            },
            channel,
          ),
        {
          born: (pid) => {
            state.pid = pid;
            state.startTime = startTimeOf(pid);
            cgroup ??= enterNewCgroup(context, state, pid, spec);
            saveState(context.root, state);
          },
          seccomp: (pid, fd) =>
            sendListener(spec.linux!.seccomp!, { pid, fd, state: ociState(state, 'creating') }),
          debug: (message) => log(context.log, 'debug', message),
          mounted: () => {
            runHooks('prestart', spec.hooks?.prestart, ociState(state, 'creating'));
            runHooks('createRuntime', spec.hooks?.createRuntime, ociState(state, 'creating'));
          },
          ready: () => {
            // Limits come last: what this runtime itself needed on the way is not the container's.
            cgroup!.set(resources);
            if (options.pidFile !== undefined) writePidFile(options.pidFile, state.pid);
            sendPidfd(options.pidfdSocket, state.pid);
          },
        },
      );
    } catch (error) {
      destroy(context, containerOf(context.root, state));
      throw error;
    }
  } catch (error) {
    removeState(context.root, id);
    throw error;
  } finally {
    closeSync(proc);
    for (const fd of sources.values()) closeSync(fd);
    if (fifo !== -1) closeSync(fifo);
    if (typeof options.consoleSocket === 'string' && consoleSocket !== undefined) closeSync(consoleSocket);
  }
  return state;
}

/** What can be refused before anything is made. */
function checkBeforehand(spec: OciSpec, resources: LinuxResources, options: CreateOptions): void {
  checkResources(resources);
  checkAppArmor(spec.process!.apparmorProfile);
  for (const { type } of spec.process!.rlimits ?? []) rlimitNumber(type);
  if (spec.process!.terminal && options.consoleSocket === undefined)
    throw new Error('cannot allocate tty if myrunc will detach without setting console socket');
  if (!spec.process!.terminal && options.consoleSocket !== undefined)
    throw new Error('cannot use console socket if myrunc will not detach or allocate tty');
  for (const name of Object.keys(spec.linux?.sysctl ?? {})) {
    const type = sysctlNamespace(name);
    if (!type)
      throw new Error(
        `linux.sysctl: ${JSON.stringify(name)} is not in a separate kernel namespace: it would change the machine`,
      );
    if (!spec.linux!.namespaces?.some((namespace) => namespace.type === type))
      throw new Error(`linux.sysctl: ${JSON.stringify(name)} is not allowed in the host's ${type} namespace`);
  }
}

/** Where each namespace of the container comes from. */
function namespacePlan(spec: OciSpec): NamespacePlan {
  const plan: NamespacePlan = { make: new Set(), join: {} };
  for (const { type, path } of spec.linux?.namespaces ?? []) {
    const kind: NamespaceKind = NAMESPACE_TYPES[type];
    if (path) plan.join[kind] = path;
    else (plan.make as Set<NamespaceKind>).add(kind);
  }
  const { uidMappings, gidMappings } = spec.linux ?? {};
  const { timeOffsets } = spec.linux ?? {};
  return {
    ...plan,
    ...(plan.make.has('user') && { idMaps: { uid: uidMappings!, gid: gidMappings! } }),
    ...(timeOffsets && { timeOffsets }),
    oomScoreAdj: spec.process!.oomScoreAdj,
  };
}

const S_IFIFO = 0o010000;
const AT_FDCWD = -100;

/**
 * The fifo into which `start` writes, whoever that will be. The descriptor is the first process's: it is open at both ends, so that opening does not wait
 * for anybody, and reading does, instead of finding an end where nobody has written yet. fifo(7)
 */
function makeFifo(root: string, { id }: ContainerState): number {
  const path = fifoPath(root, id);
  checked('mkfifo', c_mknodat(AT_FDCWD, path, S_IFIFO | 0o600, 0), JSON.stringify(path));
  return openSync(path, 'r+');
}
