import { archiveRoutes } from './route-archive.ts';
import { buildRoutes } from './route-build.ts';
import { commitRoutes } from './route-commit.ts';
import { containerRoutes } from './route-containers.ts';
import { eventRoutes } from './route-events.ts';
import { execRoutes } from './route-exec.ts';
import { imageRoutes } from './route-images.ts';
import { missingRoutes } from './route-missing.ts';
import { networkRoutes } from './route-networks.ts';
import { processRoutes } from './route-processes.ts';
import { registryRoutes } from './route-registry.ts';
import { saveRoutes } from './route-save.ts';
import { systemRoutes } from './route-system.ts';
import { volumeRoutes } from './route-volumes.ts';
import type { Route } from './router.ts';

/** The Engine API, as far as it is served. */
export const ROUTES: readonly Route[] = [
  ...systemRoutes,
  ...eventRoutes,
  ...containerRoutes,
  ...processRoutes,
  ...execRoutes,
  ...archiveRoutes,
  ...buildRoutes,
  ...commitRoutes,
  ...registryRoutes,
  ...saveRoutes,
  ...imageRoutes,
  ...networkRoutes,
  ...volumeRoutes,
  ...missingRoutes,
];
