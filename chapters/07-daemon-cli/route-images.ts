import { chainIds, familiarString, parseReference } from '../04-overlayfs/index.ts';
import { badParameter } from './api-error.ts';
import { filters, flag, type Call } from './call.ts';
import { hasLabel } from './container-filter.ts';
import { NEVER, shortId } from './container.ts';
import type { Daemon } from './daemon.ts';
import { nameImage } from './image-names.ts';
import { removeImage } from './image-remove.ts';
import { fullName, isStep, repoDigests, repoTags, SNAPSHOTTER } from './images.ts';
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

async function list(daemon: Daemon, call: Call): Promise<void> {
  const wanted = filters(call.query, ['reference', 'dangling', 'label', 'before', 'since', 'until']);
  const steps = flag(call.query, 'all');
  const images = (await daemon.images.all()).filter((image) => {
    const tags = repoTags(image);
    if (!steps && image.names.every(isStep)) return false;
    const matches = (pattern: string): boolean =>
      [...tags, ...repoDigests(image).map((name) => name.replace(/@.*/, ''))].some(
        (name) => glob(pattern).test(name) || glob(pattern).test(name.replace(/:[^:/]+$/, '')),
      );
    return (
      (wanted.get('reference')?.some(matches) ?? true) &&
      (wanted.get('dangling')?.some((value) => /^(true|1)$/.test(value) === (tags.length === 0)) ?? true) &&
      (wanted.get('label') ?? []).every((label) => hasLabel(image.config.config?.Labels ?? {}, label))
    );
  });
  const views = await Promise.all(
    images.map(async (image) => ({
      Containers: daemon.containers.all().filter(({ imageId }) => imageId === image.id).length,
      Created: Math.floor(Date.parse(image.config.created ?? NEVER) / 1000),
      Id: image.id,
      Labels: image.config.config?.Labels ?? null,
      ParentId: '',
      RepoDigests: repoDigests(image),
      RepoTags: repoTags(image),
      SharedSize: -1,
      Size: await daemon.images.size(image),
    })),
  );
  call.json(
    200,
    views.sort((a, b) => b.Created - a.Created),
  );
}

/** `*` and `?` as in a shell, not across slashes. */
function glob(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '[^/]*')
    .replace(/\?/g, '[^/]');
  return new RegExp(`^${source}$`);
}

async function inspect(daemon: Daemon, call: Call): Promise<void> {
  const image = await daemon.images.find(call.params['name']!);
  const { config } = image;
  call.json(200, {
    Id: image.id,
    RepoTags: repoTags(image),
    RepoDigests: repoDigests(image),
    Parent: '',
    Comment: config.history?.at(-1)?.comment ?? '',
    Created: config.created ?? NEVER,
    DockerVersion: '',
    Author: config.author ?? '',
    Architecture: config.architecture,
    ...(config.variant && { Variant: config.variant }),
    Os: config.os,
    Size: await daemon.images.size(image),
    GraphDriver: { Name: 'overlayfs', Data: null },
    RootFS: { Type: 'layers', Layers: config.rootfs.diff_ids },
    Metadata: { LastTagTime: NEVER },
    Descriptor: {
      mediaType: image.target.mediaType,
      digest: image.target.digest,
      size: image.target.size,
    },
    Config: {
      Hostname: '',
      Domainname: '',
      User: '',
      AttachStdin: false,
      AttachStdout: false,
      AttachStderr: false,
      Tty: false,
      OpenStdin: false,
      StdinOnce: false,
      Env: null,
      Cmd: null,
      Image: '',
      Volumes: null,
      WorkingDir: '',
      Entrypoint: null,
      OnBuild: null,
      Labels: null,
      ...config.config,
    },
  });
}

async function history(daemon: Daemon, call: Call): Promise<void> {
  const image = await daemon.images.find(call.params['name']!);
  const chain = chainIds(image.config.rootfs.diff_ids);
  const steps = image.config.history ?? chain.map(() => ({}) as { empty_layer?: boolean });
  let layer = 0;
  const views = [];
  for (const step of steps) {
    const key = step.empty_layer ? undefined : chain[layer++];
    const size = key
      ? await daemon.containerd.snapshots.usage({ snapshotter: SNAPSHOTTER, key }).catch(() => ({ size: 0 }))
      : { size: 0 };
    const { created, created_by, comment } = step as {
      created?: string;
      created_by?: string;
      comment?: string;
    };
    views.push({
      Id: '<missing>',
      Created: Math.floor(Date.parse(created ?? NEVER) / 1000),
      CreatedBy: created_by ?? '',
      Tags: null as string[] | null,
      Size: size.size,
      Comment: comment ?? '',
    });
  }
  views.reverse();
  if (views[0]) Object.assign(views[0], { Id: image.id, Tags: repoTags(image) });
  call.json(200, views);
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
  call.json(200, await removeImage(daemon, image, reference, flag(call.query, 'force')));
}

async function prune(daemon: Daemon, call: Call): Promise<void> {
  const wanted = filters(call.query, ['dangling', 'label', 'until']);
  const all = wanted.get('dangling')?.some((value) => /^(false|0)$/.test(value)) ?? false;
  const used = new Set(daemon.containers.all().map(({ imageId }) => imageId));
  const deleted: object[] = [];
  let reclaimed = 0;
  for (const image of await daemon.images.all()) {
    if (image.names.every(isStep) || used.has(image.id) || !(all || repoTags(image).length === 0)) continue;
    reclaimed += await daemon.images.size(image);
    deleted.push(...(await removeImage(daemon, image, shortId(image.id), true)));
  }
  call.json(200, { ImagesDeleted: deleted, SpaceReclaimed: reclaimed });
}
