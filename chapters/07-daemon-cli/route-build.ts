import { parseReference, familiarString } from '../04-overlayfs/index.ts';
import { badParameter } from './api-error.ts';
import { openBuildContext } from './build-context.ts';
import { openStepCache, type BuildRequest } from './build-state.ts';
import { runBuild, unusedArguments } from './build.ts';
import { flag, type Call } from './call.ts';
import { shortId } from './container.ts';
import type { Daemon } from './daemon.ts';
import { keepNameless, nameImage, withLease } from './image-names.ts';
import { removeUnused } from './image-prune.ts';
import { childrenOf, fullName, isStep } from './images.ts';
import { withProgress } from './progress-stream.ts';
import { registryConfig } from './registry-access.ts';
import type { Route } from './router.ts';

/** Images out of Dockerfiles. */
export const buildRoutes: readonly Route[] = [
  ['POST', '/build', build],
  ['POST', '/build/prune', prune],
];

async function build(daemon: Daemon, call: Call): Promise<void> {
  const request = { ...readRequest(call.query), credentials: registryConfig(call) };
  const context = await openBuildContext(daemon, call.request);
  try {
    const cache = await openStepCache(daemon);
    await withLease(daemon, (lease) =>
      withProgress(call, async ({ say }) => {
        const tell = (text: string): void => {
          if (!request.quiet) say({ stream: text });
        };
        const id = await runBuild({ daemon, request, context, lease, cache, signal: call.gone, say: tell });
        const image = await daemon.images.find(id);
        const unused = unusedArguments(
          context.read(request.dockerfile) ?? '',
          Object.keys(request.buildArgs),
        );
        if (unused.length > 0)
          tell(`[Warning] One or more build-args [${unused.join(' ')}] were not consumed\n`);
        for (const tag of request.tags) await nameImage(daemon, tag, image.target);
        if (request.tags.length === 0) await keepNameless(daemon, image.target);
        say({ aux: { ID: id } });
        if (request.quiet) say({ stream: `${id}\n` });
        tell(`Successfully built ${shortId(id)}\n`);
        for (const tag of request.tags) tell(`Successfully tagged ${familiarString(parseReference(tag))}\n`);
      }),
    );
  } finally {
    context.remove();
  }
}

/** @throws ApiError 400 */
function readRequest(query: URLSearchParams): Omit<BuildRequest, 'credentials'> {
  if (query.get('version') === '2')
    throw badParameter('this engine builds without BuildKit: set DOCKER_BUILDKIT=0');
  if (query.get('remote')) throw badParameter('a context that is elsewhere is not fetched: send it');
  const json = <T extends object>(name: string): T => {
    try {
      return JSON.parse(query.get(name) || '{}') as T;
    } catch (error) {
      throw badParameter(`${name}: not JSON`, error);
    }
  };
  return {
    dockerfile: query.get('dockerfile') || 'Dockerfile',
    tags: query.getAll('t').filter(Boolean).map(fullName),
    buildArgs: json('buildargs'),
    labels: json('labels'),
    target: query.get('target') ?? '',
    noCache: flag(query, 'nocache'),
    pull: flag(query, 'pull'),
    quiet: flag(query, 'q'),
  };
}

/** Forgets what was built before, and the loose ends: steps that no image came of. What an image was made from goes with that image. */
async function prune(daemon: Daemon, call: Call): Promise<void> {
  await (await openStepCache(daemon)).clear();
  const images = await daemon.images.all();
  const loose = images.filter(({ id, names }) => names.every(isStep) && childrenOf(images, id).length === 0);
  const { removed, reclaimed } = await removeUnused(daemon, loose);
  call.json(200, {
    CachesDeleted: removed.flatMap((one) => ('Deleted' in one ? [one.Deleted] : [])),
    SpaceReclaimed: reclaimed,
  });
}
