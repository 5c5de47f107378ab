import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostPlatform, writeFileAtomic } from '../04-overlayfs/index.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import type { Handlers } from './grpc-server.ts';
import { obstacleOf, SNAPSHOTTERS } from './snapshotters.ts';

export const VERSION = '0.1.0';

/** containerd.services.version.v1 */
export const versionService = (): Handlers['version'] => ({
  version: async () => ({ version: VERSION, revision: 'build-your-own-docker' }),
});

/** google.rpc.Code of a part that is left out; `ctr plugins ls` tells it from one that is broken by the end of its message. */
const UNKNOWN = 2;

/**
 * containerd.services.introspection.v1: what this server is made of.
 * @param root where it keeps its things: whether it is on btrfs decides
 */
export function introspectionService(uuid: string, root: string): Handlers['introspection'] {
  return {
    server: async () => ({ uuid }),
    async plugins({ filters }) {
      const matches = parseFilters(filters);
      const { os, architecture, variant = '' } = hostPlatform();
      const plugins = PLUGINS.map(([type, id]) => {
        const why = type === SNAPSHOTTER_PLUGIN ? obstacleOf(id, root) : undefined;
        return {
          type,
          id,
          platforms: [{ os, architecture, variant }],
          ...(why !== undefined && { initErr: { code: UNKNOWN, message: `${why}: skip plugin` } }),
        };
      });
      return { plugins: plugins.filter((plugin) => matches(fieldsOf(plugin))) };
    },
  };
}

const SNAPSHOTTER_PLUGIN = 'io.containerd.snapshotter.v1';
const PLUGINS: readonly (readonly [string, string])[] = [
  ['io.containerd.content.v1', 'content'],
  ...SNAPSHOTTERS.map((id) => [SNAPSHOTTER_PLUGIN, id] as const),
  ['io.containerd.runtime.v2', 'task'],
  ...[
    'containers',
    'content',
    'diff',
    'events',
    'images',
    'introspection',
    'leases',
    'namespaces',
    'snapshots',
    'tasks',
    'version',
  ].map((id) => ['io.containerd.grpc.v1', id] as const),
];

/** The id that a root got when it was first used. */
export async function serverId(root: string): Promise<string> {
  const path = join(root, 'uuid');
  if (!existsSync(path)) await writeFileAtomic(path, randomUUID());
  return readFileSync(path, 'utf8');
}
