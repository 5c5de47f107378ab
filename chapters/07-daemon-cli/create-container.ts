import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { jsonAny, OCI_TYPES } from '../06-shim-containerd/index.ts';
import { notFound } from './api-error.ts';
import { cgroupOf } from './cgroup-parent.ts';
import { completeHostConfig, mergeConfig, type CreateBody } from './container-config.ts';
import { tell } from './container-events.ts';
import { containerFiles } from './container-files.ts';
import { makeMountPoints, wantedMounts } from './container-mounts.ts';
import { NEVER, now, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { prepareLayers, removeLayers } from './init-layer.ts';
import { fillVolumes } from './fill-volumes.ts';
import { log } from './log.ts';
import { randomName } from './names.ts';
import { runtimeOf } from './runtimes.ts';
import { ociSpec } from './spec.ts';

/** The label by which a daemon knows what is its own in a containerd that it shares. */
export const OWNER_LABEL = 'mydocker.data-root';

/**
 * Makes a container of an image: its record, its own writable snapshot over the image's, and containerd's record of it. Nothing runs
 * yet. When a step fails, those before it are undone.
 * @throws ApiError 400 for what cannot be, 404 for an unknown image, 409 for a name that is taken
 */
export async function createContainer(
  daemon: Daemon,
  body: Partial<CreateBody>,
  name: string | undefined,
): Promise<ContainerRecord> {
  const { containerd, containers, options } = daemon;
  const image = await daemon.images.find(body.Image ?? '');
  const id = randomBytes(32).toString('hex');
  const hostConfig = completeHostConfig(body.HostConfig ?? {}, options.defaultRuntime);
  const config = mergeConfig(body, image.config.config ?? {}, id);
  if (hostConfig.NetworkMode === 'host' && !body.Hostname) config.Hostname = hostname();
  const runtime = runtimeOf(hostConfig.Runtime);
  checkJoined(daemon, hostConfig.NetworkMode);
  const record: ContainerRecord = {
    version: 1,
    id,
    name:
      name?.replace(/^\//, '') ||
      randomName((taken) => containers.all().some((other) => other.name === taken)),
    created: now(),
    imageId: image.id,
    imageName: config.Image,
    imageSnapshot: image.snapshot,
    config,
    hostConfig,
    mounts: [],
    state: {
      status: 'created',
      pid: 0,
      exitCode: 0,
      error: '',
      oomKilled: false,
      startedAt: NEVER,
      finishedAt: NEVER,
      stoppedByHand: false,
      journalStart: 0,
    },
    endpoint: null,
    restartCount: 0,
  };
  const wanted = wantedMounts(config, hostConfig);
  const spec = ociSpec(record, {
    user: { uid: 0, gid: 0, additionalGids: [] },
    files: containerFiles(containers.directory(id)),
    join: {},
    cgroupsPath: cgroupOf(id),
    cgroupVersion: daemon.machine.cgroupVersion,
    available: daemon.machine.capabilities,
  });

  const undo: (() => Promise<unknown>)[] = [];
  try {
    await containers.add(record);
    undo.push(() => containers.remove(record));
    const before = new Set(daemon.volumes.all().map((volume) => volume.name));
    undo.push(async () => {
      const made = record.mounts.flatMap((mount) => mount.name ?? []).filter((one) => !before.has(one));
      record.mounts = [];
      for (const volume of made) await daemon.volumes.remove(volume);
    });
    record.mounts = await makeMountPoints(wanted, daemon.volumes);
    const labels = { [OWNER_LABEL]: options.dataRoot };
    undo.push(() => removeLayers(daemon, id));
    const mounts = await prepareLayers(daemon, id, {
      parent: image.snapshot,
      mounts: spec.mounts ?? [],
      labels: { ...labels, 'containerd.io/gc.root': record.created },
    });
    await containerd.containers.create({
      container: {
        id,
        labels,
        image: image.names[0] ?? '',
        runtime,
        spec: jsonAny(OCI_TYPES.spec, spec),
        snapshotter: containerd.snapshotter,
        snapshotKey: id,
      },
    });
    undo.push(() => containerd.containers.delete({ id }));
    await fillVolumes(daemon, record, mounts);
    await containers.save(record);
  } catch (error) {
    for (const step of undo.reverse())
      await step().catch((problem: unknown) => log('warn', `undoing the creation of ${id}`, problem));
    throw error;
  }
  tell(daemon, record, 'create');
  return record;
}

function checkJoined({ containers }: Daemon, networkMode: string): void {
  const other = /^container:(.+)$/.exec(networkMode)?.[1];
  if (other === undefined) return;
  try {
    containers.find(other);
  } catch {
    throw notFound(`No such container: ${other}`);
  }
}
