import { isGrpcError } from '../06-shim-containerd/index.ts';
import { conflict, isApiError } from './api-error.ts';
import { tell } from './container-events.ts';
import { isRunning, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { collectGarbage } from './image-names.ts';
import { removeLayers } from './init-layer.ts';
import { log } from './log.ts';
import { removeStdin } from './stdin.ts';
import { stopContainer } from './stop-container.ts';

/** Clients that are attached get so many milliseconds to read the last of a container that is removed by force. */
const READERS_LIMIT = 1000;

/**
 * Removes a container: its files, its snapshot, all records of it. One that runs only by force: it is killed first.
 * @throws ApiError 409 when it runs, or is being removed already
 */
export async function removeContainer(
  daemon: Daemon,
  record: ContainerRecord,
  { force = false, volumes = false }: { force?: boolean; volumes?: boolean },
): Promise<void> {
  const run = daemon.runs.of(record);
  const remove = async (): Promise<boolean> => {
    if (record.state.status === 'removing')
      throw conflict(`removal of container ${record.name} is already in progress`);
    // A start was faster.
    if (isRunning(record)) return false;
    const before = record.state.status;
    record.state.status = 'removing';
    try {
      await daemon.containers.save(record);
      removeStdin(daemon, record);
      await removeSerially(daemon, record, volumes);
    } catch (error) {
      record.state.status = before === 'created' ? 'created' : 'dead';
      await daemon.containers.save(record);
      throw error;
    }
    return true;
  };
  do {
    run.cancelRestart?.();
    if (isRunning(record)) await end(daemon, record, force);
  } while (!(await run.serially(remove)));
  run.removed({ exitCode: record.state.exitCode, error: '' });
  daemon.runs.forget(record);
  tell(daemon, record, 'destroy');
}

/** Ends a container that is to be removed. @throws ApiError 409 unless by force */
async function end(daemon: Daemon, record: ContainerRecord, force: boolean): Promise<void> {
  if (!force)
    throw conflict(
      `cannot remove container "/${record.name}": container is ${record.state.status}: You cannot remove a running container ${record.id}. Stop the container before attempting removal or force remove`,
    );
  // Its own --rm would remove it at the same moment.
  record.hostConfig.AutoRemove = false;
  try {
    await stopContainer(daemon, record, { seconds: 0, signal: 'SIGKILL' });
  } catch (error) {
    if (!isApiError(error, 304)) throw error;
  }
  await daemon.runs.of(record).detached(READERS_LIMIT);
}

async function removeSerially(daemon: Daemon, record: ContainerRecord, volumes: boolean): Promise<void> {
  const { containerd, containers, images, volumes: store } = daemon;
  const { id, imageId } = record;
  await unlessGone(containerd.containers.delete({ id }));
  await removeLayers({ containerd }, id);
  // The layers of an image that was removed by force stayed for this container.
  if (!(await images.all()).some((image) => image.id === imageId)) await collectGarbage(daemon);
  const anonymous = record.mounts.flatMap(({ name }) =>
    name !== undefined && store.all().some((volume) => volume.name === name && volume.anonymous)
      ? [name]
      : [],
  );
  await containers.remove(record);
  if (volumes)
    for (const name of anonymous)
      await store.remove(name).catch((error: unknown) => log('debug', `volume ${name} stays`, error));
}

/** What a removal that was interrupted has done already is no obstacle to the next. */
async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isGrpcError(error, 'NotFound')) throw error;
  }
}
