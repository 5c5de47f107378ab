import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from '../01-processes/index.ts';
import {
  CONFIG_CHANGES,
  digestOfCopies,
  findCopies,
  historyStep,
  MEDIA_TYPE,
  mountAll,
  nop,
  operands,
  parseDockerfile,
  resolveImage,
  unmountAll,
  unpackImage,
  writeBlob,
  writeTar,
  type ContentStore,
  type Descriptor,
  type ImageConfig,
  type Instruction,
  type Snapshotter,
} from './index.ts';

// A build without RUN: that one needs a container, and so the engine. All else of it is here.

const DOCKERFILE = `FROM busybox
ENV GREETING=hello
COPY greet /bin/
CMD ["greet"]
`;

/** An image as the build sees it. */
interface Built {
  config: ImageConfig;
  layers: Descriptor[];
}

/** What is known of steps that were done before: the image that came of each. */
type Cache = Map<string, Built>;

/** The same Dockerfile three times, with something else changed in between. Gives the first image and the last. */
export async function smallBuild(
  s: Step,
  stores: { content: ContentStore; snapshots: Snapshotter },
  base: Descriptor,
  dir: string,
): Promise<[Descriptor, Descriptor]> {
  const context = join(dir, 'context');
  mkdirSync(context);
  const file = join(context, 'greet');
  const write = (punctuation: string): void => {
    writeFileSync(file, `#!/bin/sh\necho "$GREETING, world${punctuation}"\n`);
    chmodSync(file, 0o755);
  };
  const cache: Cache = new Map();
  const build = async (when: string): Promise<{ target: Descriptor; made: string[] }> => {
    const { image, steps } = await buildOnce(stores.content, base, context, cache);
    s.evidence(when, steps);
    const made = Object.keys(steps).filter((step) => steps[step] !== 'from the cache');
    return { target: await named(stores.content, image), made };
  };

  write('!');
  const first = await build('docker build would say, the first time');
  s.claim('each step was done', first.made.length === 3);
  s.evidence('run in the image', { greet: await runInside(s, stores, first.target, join(dir, 'built')) });
  utimesSync(file, 0, 0);
  const touched = await build('after touch(1) of the file');
  s.claim('times do not count: no step was done', touched.made.length === 0);
  s.claim('and it is the same image', touched.target.digest === first.target.digest);
  write('.');
  const last = await build('after one letter of the file was changed');
  s.claim('what is above the change is found, what is below it is not', last.made.length === 2);
  s.note('RUN has a key of the same kind, its command, and needs a container: chapter 7 builds with it.');
  return [first.target, last.target];
}

/** Follows the Dockerfile. Says of each step what was done for it. */
async function buildOnce(
  content: ContentStore,
  base: Descriptor,
  context: string,
  cache: Cache,
): Promise<{ image: Built; steps: Record<string, string> }> {
  const { stages, escape } = parseDockerfile(DOCKERFILE);
  const { config, manifest } = await resolveImage(content, base);
  let image: Built = { config, layers: manifest.layers };
  const steps: Record<string, string> = {};
  for (const instruction of stages[0]!.instructions) {
    const step = `${instruction.name} ${instruction.text}`;
    const { line, after, layer } = await prepare(content, image, instruction, { context, escape });
    // What went in: the image below, and what is done to it.
    const key = JSON.stringify([image, line, after]);
    const known = cache.get(key);
    if (known) {
      [image, steps[step]] = [known, 'from the cache'];
      continue;
    }
    const made = await layer?.();
    image = {
      config: {
        ...image.config,
        config: after,
        rootfs: {
          type: 'layers',
          // An archive that is not compressed has the digest of what it unpacks to.
          diff_ids: [...image.config.rootfs.diff_ids, ...(made ? [made.digest] : [])],
        },
        history: [...(image.config.history ?? []), { created_by: line, ...(!made && { empty_layer: true }) }],
      },
      layers: [...image.layers, ...(made ? [made] : [])],
    };
    steps[step] = made ? `a layer of ${made.size} bytes` : 'the configuration alone';
    cache.set(key, image);
  }
  return { image, steps };
}

/** What a step is, to the letter; what the configuration is after it; and how its layer is made, if it has one. */
async function prepare(
  content: ContentStore,
  { config: { config = {} } }: Built,
  instruction: Instruction,
  { context, escape }: { context: string; escape: string },
): Promise<{ line: string; after: typeof config; layer?: () => Promise<Descriptor> }> {
  const variables = new Map<string, string>();
  if (instruction.name !== 'COPY') {
    const after = CONFIG_CHANGES[instruction.name]!(config, instruction, variables, escape);
    const line = nop(after, historyStep(instruction, after, variables, escape)).join(' ');
    return { line, after };
  }
  const words = operands(instruction, variables, escape);
  const [sources, destination] = [words.slice(0, -1), words.at(-1)!];
  const copies = (): ReturnType<typeof findCopies> =>
    findCopies({ root: context, sources, destination, intoDirectory: false });
  const found = copies();
  try {
    const line = nop(config, `COPY file:${await digestOfCopies(found)} in ${destination} `).join(' ');
    const layer = async (): Promise<Descriptor> => {
      const { entries, close } = copies();
      try {
        const { digest, size } = await writeBlob(content, writeTar(entries));
        return { mediaType: MEDIA_TYPE.layer, digest, size };
      } finally {
        close();
      }
    };
    return { line, after: config, layer };
  } finally {
    found.close();
  }
}

/** Writes configuration and manifest. */
async function named(content: ContentStore, { config, layers }: Built): Promise<Descriptor> {
  const put = async (mediaType: string, value: object): Promise<Descriptor> => {
    const { digest, size } = await writeBlob(content, Buffer.from(JSON.stringify(value)));
    return { mediaType, digest, size };
  };
  const own = await put(MEDIA_TYPE.config, config);
  return put(MEDIA_TYPE.manifest, { schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, config: own, layers });
}

/** Starts the image's command in its files. */
async function runInside(
  s: Step,
  { content, snapshots }: { content: ContentStore; snapshots: Snapshotter },
  target: Descriptor,
  root: string,
): Promise<string> {
  const { config } = await resolveImage(content, target);
  const mounts = await snapshots.prepare('built', await unpackImage({ content, snapshots }, target));
  mkdirSync(root);
  mountAll(mounts, root);
  s.cleanup(`unmount ${root}`, () => unmountAll(root));
  const { Env, Cmd } = config.config ?? {};
  return execFileSync('chroot', [root, '/bin/env', '-i', ...(Env ?? []), ...(Cmd ?? [])], {
    encoding: 'utf8',
  }).trim();
}
