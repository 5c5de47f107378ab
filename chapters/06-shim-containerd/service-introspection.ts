import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostPlatform, writeFileAtomic } from '../04-overlayfs/index.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import type { Handlers } from './grpc-server.ts';
import { SNAPSHOTTER } from './service-snapshots.ts';

export const VERSION = '0.1.0';

/** containerd.services.version.v1 */
export const versionService = (): Handlers['version'] => ({
  version: async () => ({ version: VERSION, revision: 'build-your-own-docker' }),
});

/** containerd.services.introspection.v1: what this server is made of. */
export function introspectionService(uuid: string): Handlers['introspection'] {
  return {
    server: async () => ({ uuid }),
    async plugins({ filters }) {
      const matches = parseFilters(filters);
      const { os, architecture, variant = '' } = hostPlatform();
      const plugins = PLUGINS.map(([type, id]) => ({
        type,
        id,
        platforms: [{ os, architecture, variant }],
      }));
      return { plugins: plugins.filter((plugin) => matches(fieldsOf(plugin))) };
    },
  };
}

const PLUGINS = [
  ['io.containerd.content.v1', 'content'],
  ['io.containerd.snapshotter.v1', SNAPSHOTTER],
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
] as const;

/** The id that a root got when it was first used. */
export async function serverId(root: string): Promise<string> {
  const path = join(root, 'uuid');
  if (!existsSync(path)) await writeFileAtomic(path, randomUUID());
  return readFileSync(path, 'utf8');
}
