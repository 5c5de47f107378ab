import { familiarString, parseReference } from '../04-overlayfs/index.ts';
import { badParameter } from './api-error.ts';
import { filters, flag, type Call } from './call.ts';
import type { Daemon } from './daemon.ts';
import { createdAt, danglingFilter, labelFilter, referenceFilter, untilFilter } from './image-filter.ts';
import { nameImage } from './image-names.ts';
import { pruneImages } from './image-prune.ts';
import { removeImage } from './image-remove.ts';
import { historyView, inspectView, listView } from './image-view.ts';
import { childrenOf, fullName, references, repoDigests, repoTags } from './images.ts';
import type { Route } from './router.ts';

/** The routes of images. */
export const imageRoutes: readonly Route[] = [
  ['GET', '/images/json', list],
  ['POST', '/images/prune', prune],
  ['GET', '/images/{name...}/json', inspect],
  ['GET', '/images/{name...}/history', history],
  ['POST', '/images/{name...}/tag', tag],
  ['DELETE', '/images/{name...}', remove],
];

/** `docker images`: of an image the names that are asked for. Source: moby, daemon/images/images.go. */
async function list(daemon: Daemon, call: Call): Promise<void> {
  const wanted = filters(call.query, ['reference', 'dangling', 'label', 'before', 'since', 'until']);
  const withSteps = flag(call.query, 'all');
  const [dangling, until, hasLabels] = [danglingFilter(wanted), untilFilter(wanted), labelFilter(wanted)];
  const patterns = wanted.get('reference');
  const fits = patterns && referenceFilter(patterns);
  const momentOf = async (filter: string): Promise<number[]> =>
    Promise.all((wanted.get(filter) ?? []).map(async (name) => createdAt(await daemon.images.find(name))));
  const [before, since] = [await momentOf('before'), await momentOf('since')];
  const all = await daemon.images.all();
  const views: { Created: number }[] = [];
  for (const image of all) {
    const created = createdAt(image);
    if (before.some((moment) => created >= moment) || since.some((moment) => created <= moment)) continue;
    if ((until !== undefined && created > until) || !hasLabels(image)) continue;
    const names = references(image).filter((name) => fits?.(name) ?? true);
    const hasTag = names.some((name) => !name.includes('@'));
    if (dangling === true && (hasTag || childrenOf(all, image.id).length > 0)) continue;
    // A step is shown to who wants to see all; one that nothing was made from is a loose end, and shown to everybody.
    const isShown = withSteps || childrenOf(all, image.id).length === 0;
    if (names.length === 0 && (!isShown || dangling === false || fits)) continue;
    const shown = { ...image, names };
    const view = { tags: repoTags(shown), digests: repoDigests(shown), version: call.version };
    views.push(await listView(daemon, image, view));
  }
  call.json(
    200,
    views.sort((a, b) => b.Created - a.Created),
  );
}

async function inspect(daemon: Daemon, call: Call): Promise<void> {
  const image = await daemon.images.find(call.params['name']!);
  call.json(200, await inspectView(daemon, image, call.version));
}

async function history(daemon: Daemon, call: Call): Promise<void> {
  call.json(200, await historyView(daemon, await daemon.images.find(call.params['name']!)));
}

async function tag(daemon: Daemon, call: Call): Promise<void> {
  const image = await daemon.images.find(call.params['name']!);
  const [repository, label] = [call.query.get('repo') ?? '', call.query.get('tag') ?? ''];
  if (repository === '') throw badParameter('repository name is missing');
  const name = fullName(label === '' ? repository : `${repository}:${label}`);
  if (name.includes('@')) throw badParameter('refusing to create a tag with a digest reference');
  await nameImage(daemon, name, image.target);
  daemon.events.publish('image', 'tag', image.id, { name: familiarString(parseReference(name)) });
  call.empty(201);
}

async function remove(daemon: Daemon, call: Call): Promise<void> {
  const reference = call.params['name']!;
  const image = await daemon.images.find(reference);
  const [force, prune] = [flag(call.query, 'force'), !flag(call.query, 'noprune')];
  call.json(200, await removeImage(daemon, image, reference, { force, prune }));
}

async function prune(daemon: Daemon, call: Call): Promise<void> {
  call.json(200, await pruneImages(daemon, filters(call.query, ['dangling', 'label', 'label!', 'until'])));
}
