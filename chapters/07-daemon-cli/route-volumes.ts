import type { Call } from './call.ts';
import { filters } from './call.ts';
import { hasLabel } from './container-filter.ts';
import type { Daemon } from './daemon.ts';
import type { Route } from './router.ts';
import type { Volume } from './volume-store.ts';

/** The routes of volumes. */
export const volumeRoutes: readonly Route[] = [
  ['GET', '/volumes', list],
  ['POST', '/volumes/create', create],
  ['POST', '/volumes/prune', prune],
  ['GET', '/volumes/{name}', inspect],
  ['DELETE', '/volumes/{name}', remove],
];

const view = ({ volumes }: Daemon, volume: Volume): object => ({
  CreatedAt: volume.created,
  Driver: 'local',
  Labels: volume.anonymous ? { 'com.docker.volume.anonymous': '', ...volume.labels } : volume.labels,
  Mountpoint: volumes.path(volume.name),
  Name: volume.name,
  Options: null,
  Scope: 'local',
});

const inUse = ({ containers }: Daemon, { name }: Volume): boolean =>
  containers.all().some(({ mounts }) => mounts.some((mount) => mount.name === name));

function list(daemon: Daemon, call: Call): void {
  const wanted = filters(call.query, ['name', 'label', 'dangling', 'driver']);
  const found = daemon.volumes
    .all()
    .filter(
      (volume) =>
        (wanted.get('name')?.some((value) => volume.name.includes(value)) ?? true) &&
        (wanted.get('label') ?? []).every((label) => hasLabel(volume.labels, label)) &&
        (wanted.get('driver')?.includes('local') ?? true) &&
        (wanted.get('dangling')?.some((value) => /^(true|1)$/.test(value) !== inUse(daemon, volume)) ?? true),
    );
  call.json(200, { Volumes: found.map((volume) => view(daemon, volume)), Warnings: null });
}

async function create(daemon: Daemon, call: Call): Promise<void> {
  const { Name = '', Labels } = await call.body<{ Name: string; Labels: Record<string, string> | null }>();
  const volume = await daemon.volumes.create(Name, Labels ?? {});
  daemon.events.publish('volume', 'create', volume.name, { driver: 'local' });
  call.json(201, view(daemon, volume));
}

function inspect(daemon: Daemon, call: Call): void {
  call.json(200, view(daemon, daemon.volumes.get(call.params['name']!)));
}

async function remove(daemon: Daemon, call: Call): Promise<void> {
  const name = call.params['name']!;
  await daemon.volumes.remove(name);
  daemon.events.publish('volume', 'destroy', name, { driver: 'local' });
  call.empty(204);
}

/** Removes what no container has: anonymous volumes, or with `all` those with a name too. */
async function prune(daemon: Daemon, call: Call): Promise<void> {
  const wanted = filters(call.query, ['label', 'all']);
  const all = wanted.get('all')?.some((value) => /^(true|1)$/.test(value)) ?? false;
  const deleted: string[] = [];
  for (const volume of daemon.volumes.all()) {
    if (inUse(daemon, volume) || !(all || volume.anonymous)) continue;
    await daemon.volumes.remove(volume.name);
    deleted.push(volume.name);
  }
  call.json(200, { VolumesDeleted: deleted, SpaceReclaimed: 0 });
}
