import { bringUpLoopback } from '../02-namespaces/index.ts';
import { jsonAny, OCI_TYPES, type Mount } from '../06-shim-containerd/index.ts';
import { ApiError, conflict, notModified } from './api-error.ts';
import { cgroupOf, removeEmptyParent } from './cgroup-parent.ts';
import { tell } from './container-events.ts';
import { containerFiles, writeContainerFiles } from './container-files.ts';
import { withContainerRoot } from './container-root.ts';
import { isRunning, now, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { journalSize } from './follow.ts';
import { makeDirectoryInRoot, readInRoot } from './in-root.ts';
import { explain, log } from './log.ts';
import { lookUpUser, type User } from './passwd.ts';
import { removeContainer } from './remove-container.ts';
import { ociSpec } from './spec.ts';
import { startError } from './start-error.ts';
import { ensureStdin, removeStdin } from './stdin.ts';

/**
 * Starts a container: files and user, then the task (the shim makes the process, which waits), then the network, then the process may
 * run. When a step fails, those before it are undone, and the container is as it was, with the reason in its state.
 * @throws ApiError 304 when it runs already; 400 with the runtime's words when the command cannot be run; 409 when it is being removed
 */
export async function startContainer(daemon: Daemon, record: ContainerRecord): Promise<void> {
  const run = daemon.runs.of(record);
  run.cancelRestart?.();
  await run.serially(async () => {
    const { state } = record;
    if (state.status === 'paused') throw conflict('cannot start a paused container, try unpause instead');
    if (state.status === 'removing') throw conflict('container is marked for removal and cannot be started');
    if (state.status === 'running') throw notModified();
    await startSerially(daemon, record);
  });
}

async function startSerially(daemon: Daemon, record: ContainerRecord): Promise<void> {
  const { containerd, containers, network } = daemon;
  const { id, config, hostConfig, state } = record;
  const undo: (() => unknown)[] = [];
  try {
    if (hostConfig.NetworkMode === 'bridge') {
      const endpoint = network.reserve();
      record.endpoint = endpoint;
      undo.push(() => {
        record.endpoint = null;
        network.release(endpoint);
      });
      // On disk before it is in the kernel: a daemon that dies in between finds what to take away.
      await containers.save(record);
    }
    const join_ = joinedProcesses(daemon, record);
    const files = containerFiles(containers.directory(id));
    writeContainerFiles(files, record, network.gateway);
    const { mounts } = await containerd.snapshots.mounts({ snapshotter: containerd.snapshotter, key: id });
    const spec = ociSpec(record, {
      user: await prepareRoot(daemon, record, mounts),
      files,
      join: join_,
      cgroupsPath: cgroupOf(id),
      cgroupVersion: daemon.machine.cgroupVersion,
      available: daemon.machine.capabilities,
    });
    await containerd.containers.update({
      container: { id, spec: jsonAny(OCI_TYPES.spec, spec) },
      updateMask: { paths: ['spec'] },
    });

    const stdin = config.OpenStdin ? ensureStdin(daemon, id) : '';
    undo.push(() => removeStdin(daemon, record));
    const journal = containers.journal(id);
    state.journalStart = journalSize(journal);

    const output = `journal://${journal}`;
    const { pid } = await containerd.tasks.create({
      containerId: id,
      rootfs: mounts,
      stdin,
      stdout: output,
      stderr: config.Tty ? '' : output,
      terminal: config.Tty,
    });
    undo.push(() => discardTask(daemon, id));
    if (record.endpoint) network.connect(record.endpoint, pid);
    else if (hostConfig.NetworkMode === 'none') bringUpLoopback({ pid });
    await containerd.tasks.start({ containerId: id });

    Object.assign(state, {
      status: 'running',
      pid,
      exitCode: 0,
      error: '',
      oomKilled: false,
      startedAt: now(),
      stoppedByHand: false,
    });
    await containers.save(record);
    daemon.runs.of(record).started();
    tell(daemon, record, 'start');
  } catch (error) {
    for (const step of undo.reverse())
      try {
        await step();
      } catch (problem) {
        log('warn', `undoing the start of ${id}`, problem);
      }
    await failed(daemon, record, error);
  }
}

/** Notes why a start failed, and says it to everybody who waits. */
async function failed(daemon: Daemon, record: ContainerRecord, error: unknown): Promise<never> {
  const { message, exitCode, status } = startError(error);
  log('info', `container ${record.id} does not start`, error);
  // A container that never ran is still "created"; one that did is still "exited".
  const wasRunning = isRunning(record);
  Object.assign(record.state, {
    status: wasRunning ? 'exited' : record.state.status,
    pid: 0,
    exitCode,
    error: message,
  });
  removeEmptyParent(daemon);
  await daemon.containers.save(record);
  const run = daemon.runs.of(record);
  run.ended({ exitCode, error: '' });
  if (record.hostConfig.AutoRemove)
    void removeContainer(daemon, record, { force: true, volumes: true }).catch((problem: unknown) =>
      log('warn', `removing ${record.id}`, problem),
    );
  throw new ApiError(status, message, { cause: error instanceof ApiError ? undefined : error });
}

/** Kills and forgets a task that is not wanted any more. It may be gone already. */
export async function discardTask({ containerd }: Daemon, containerId: string): Promise<void> {
  const quietly = (what: Promise<unknown>): Promise<unknown> =>
    what.catch((error: unknown) => log('debug', `task ${containerId}: ${explain(error)}`));
  await quietly(containerd.tasks.kill({ containerId, signal: 9, all: true }));
  await quietly(containerd.tasks.wait({ containerId }, { timeout: 5000 }));
  await quietly(containerd.tasks.delete({ containerId }, { timeout: 10_000 }));
}

/** What must be looked up, or made, in the container's own files before it starts. */
function prepareRoot(daemon: Daemon, record: ContainerRecord, mounts: readonly Mount[]): Promise<User> {
  const { config, hostConfig } = record;
  return withContainerRoot(daemon, record.id, mounts, (root) => {
    if (config.WorkingDir) makeDirectoryInRoot(root, config.WorkingDir);
    const accounts = {
      passwd: readInRoot(root, '/etc/passwd'),
      group: readInRoot(root, '/etc/group'),
    };
    return lookUpUser(config.User, accounts, hostConfig.GroupAdd ?? []);
  });
}

function joinedProcesses(
  { containers }: Daemon,
  { id, hostConfig }: ContainerRecord,
): Partial<Record<'network' | 'pid' | 'ipc', number>> {
  const join_: Partial<Record<'network' | 'pid' | 'ipc', number>> = {};
  const modes = {
    network: hostConfig.NetworkMode,
    pid: hostConfig.PidMode,
    ipc: hostConfig.IpcMode,
  };
  for (const [kind, mode] of Object.entries(modes) as ['network' | 'pid' | 'ipc', string][]) {
    const reference = /^container:(.+)$/.exec(mode)?.[1];
    if (reference === undefined) continue;
    const other = containers.find(reference);
    if (other.id === id) throw conflict(`cannot join own ${kind} namespace`);
    if (!isRunning(other) || other.state.pid === 0)
      throw conflict(`cannot join ${kind} namespace of a non running container: ${other.id}`);
    join_[kind] = other.state.pid;
  }
  return join_;
}
