import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  applyLayer,
  CONFIG_CHANGES,
  dockerignore,
  familiarString,
  glob,
  loadArchive,
  operands,
  pairs,
  parseChallenges,
  parseDockerfile,
  parseReference,
  pullImage,
  referenceString,
  resolveImage,
  saveArchive,
  unpackImage,
  words,
  type Descriptor,
} from '../../chapters/04-overlayfs/index.ts';
import { below, hostileNames, mutateBytes, mutateTar, pick, type Next } from './images-bytes.ts';
import type { Ground } from './images-ground.ts';
import { wildAnswers } from './images-registry.ts';
import { CHALLENGES, DOCKERFILE, IGNORE, layoutOf, REFERENCES, type Documents } from './images-samples.ts';
import { mutate } from './json-mutations.ts';

/** What was done is not what should have been: the fault of what is tried, not a refusal. */
export class Fault extends Error {
  override readonly name = 'Fault';
}

/** Kinds of cases. Each throws what it was refused with. */
export interface Kind {
  name: string;
  /** How many of a hundred cases. */
  share: number;
  /** What it may change, and is looked at afterwards. */
  touches: 'nothing' | 'files' | 'stores';
  run(next: Next, ground: Ground): Promise<unknown>;
}

export const KINDS: readonly Kind[] = [
  { name: 'layer', share: 35, touches: 'files', run: layer },
  { name: 'archive', share: 15, touches: 'stores', run: archive },
  { name: 'documents', share: 15, touches: 'stores', run: documents },
  { name: 'registry', share: 10, touches: 'stores', run: registry },
  { name: 'dockerfile', share: 15, touches: 'nothing', run: dockerfile },
  { name: 'text', share: 10, touches: 'nothing', run: text },
];

/** Bytes in pieces of chance. */
async function* pieces(bytes: Buffer, next: Next): AsyncGenerator<Buffer> {
  const size = pick(next, [100, 512, 700, 4096, 1 << 20]);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function layer(next: Next, { samples, work, outside }: Ground): Promise<void> {
  const tar = mutateTar(samples.layer, next, outside);
  const root = join(work, 'root');
  mkdirSync(root);
  await applyLayer(pieces(tar, next), root, {
    whiteouts: pick(next, ['remove', 'overlay', 'keep']),
    below: pick(next, ['', '', '', 'under/it']),
    keepKinds: next() < 0.2,
  });
}

/** Takes an archive in; failing, it must leave nothing. What was taken in is unpacked and saved. */
async function takeIn(bytes: Buffer, next: Next, { content, images, snapshots }: Ground): Promise<void> {
  const before = (await content.list()).length;
  let loaded;
  try {
    loaded = await loadArchive(pieces(bytes, next), { content, images });
  } catch (error) {
    const left = [...(await content.list()).slice(before), ...(await content.statuses())];
    if ((await content.list()).length > before || left.length > 0)
      throw new Fault(`refused (${String(error)}), and left ${left.length} blobs or ingests`, {
        cause: error,
      });
    throw error;
  }
  for (const { names } of loaded) for (const name of names) await images.delete(name);
  for (const { target, names } of loaded) {
    const { descriptor } = await resolveImage(content, target);
    if (next() < 0.5) for await (const _ of saveArchive(content, [{ names, target: descriptor }])); // to its end
    if (next() < 0.3) await unpackImage({ content, snapshots }, target);
  }
}

async function archive(next: Next, ground: Ground): Promise<void> {
  await takeIn(
    mutateTar(next() < 0.5 ? ground.samples.layout : ground.samples.dockerSave, next, ground.outside),
    next,
    ground,
  );
}

/** Documents that say something wrong, each under the digest that it has. */
async function documents(next: Next, ground: Ground): Promise<void> {
  await takeIn(await layoutOf(mutated(ground.samples.documents, next), ground.samples.layers), next, ground);
}

function mutated(whole: Documents, next: Next): Documents {
  const copy = structuredClone(whole) as unknown as Record<string, unknown>;
  for (const name of ['config', 'manifest', 'index'])
    if (next() < 0.5) copy[name] = JSON.parse(JSON.stringify(mutate(copy[name], next)));
  return copy as unknown as Documents;
}

async function registry(next: Next, { samples, content, registry }: Ground): Promise<void> {
  const documents = next() < 0.5 ? mutated(samples.documents, next) : structuredClone(samples.documents);
  registry.answer = wildAnswers(next, documents, samples.layers, registry.host);
  const { target } = await pullImage(content, parseReference(`${registry.host}/fuzz:1`), {
    tries: 2,
    pause: 1,
    stall: 300,
    platform: { os: 'linux', architecture: 'amd64' },
    credentials: async () => (next() < 0.5 ? { username: 'a', password: 'b' } : undefined),
  });
  // What says that it is pulled is there, whole.
  const { manifest } = await resolveImage(content, target as Descriptor, {
    os: 'linux',
    architecture: 'amd64',
  });
  for (const { digest } of manifest.layers) await content.info(digest);
}

const TOKENS = [
  '${', '}', '$', '"', "'", '\\', '`', '\n', '\\\n', ' ', '\t', '#', '<<EOF', '--from=', '--x', '[', ']', '["a"]', ':-', ':+', ':?', '=', '${a:-${b:-${c}}}', '*', '**/', '?',
  '[a-', '!', '\0', '\ufeff', '\r\n', 'FROM', 'RUN', 'ONBUILD', 'ARG', 'AS', 'ENV', 'x'.repeat(3000), '${a:-'.repeat(500), '**'.repeat(200), '('.repeat(50), '# escape=`\n', '99999999999999999999',
]; // prettier-ignore

/** Text with one to five changes: a token put in or in place of something, a part left out, doubled, or moved. */
function mutateText(whole: string, next: Next, tokens: readonly string[]): string {
  let changed = whole;
  for (let changes = 1 + below(next, 5); changes > 0; changes--) {
    const [at, length] = [below(next, changed.length + 1), below(next, 30)];
    const part = changed.slice(at, at + length);
    const place = below(next, changed.length + 1);
    const kind = next();
    if (kind < 0.5)
      changed = changed.slice(0, at) + pick(next, tokens) + changed.slice(kind < 0.25 ? at : at + length);
    else if (kind < 0.7) changed = changed.slice(0, at) + changed.slice(at + length);
    else if (kind < 0.9) changed = changed.slice(0, place) + part + changed.slice(place);
    else changed = mutateBytes(Buffer.from(changed), next).toString();
  }
  return changed;
}

const VARIABLES = new Map([['ONE', '1'], ['TWO', 'two words'], ['EMPTY', ''], ['a', '${b}'], ['b', '"quoted']]); // prettier-ignore

async function dockerfile(next: Next): Promise<void> {
  if (next() < 0.3) {
    const ignored = dockerignore(mutateText(IGNORE, next, TOKENS));
    for (const path of [
      'a',
      'a/b/c.log',
      `${'a/'.repeat(60)}b`,
      'x'.repeat(200),
      'node_modules/x/keep.log',
      ...hostileNames('/o').filter(Boolean),
    ])
      ignored(path);
    glob(mutateText('a*/**/[b-d]?.c', next, TOKENS))('abc/d/e/f/c.c');
    return;
  }
  const file = parseDockerfile(mutateText(DOCKERFILE, next, TOKENS));
  for (const { instructions, base, from } of file.stages) {
    words(base, VARIABLES, { escape: file.escape, line: from.line });
    let config = {};
    for (const instruction of instructions) {
      const change = CONFIG_CHANGES[instruction.name];
      if (change) config = change(config, instruction, VARIABLES, file.escape);
      else if (/^(COPY|ADD)$/.test(instruction.name)) operands(instruction, VARIABLES, file.escape);
      else if (instruction.name === 'ARG')
        words(instruction.text, VARIABLES, { escape: file.escape, line: instruction.line });
      else if (instruction.name === 'LABEL') pairs(instruction, VARIABLES, file.escape);
    }
    JSON.stringify(config);
  }
}

async function text(next: Next): Promise<void> {
  if (next() < 0.3) {
    for (const { scheme, parameters } of parseChallenges(
      mutateText(pick(next, CHALLENGES), next, [
        '"',
        ',',
        '=',
        ' ',
        '\\',
        'Bearer ',
        '"a',
        '\t',
        'x'.repeat(5000),
        '='.repeat(3000),
      ]),
    ))
      if (typeof scheme !== 'string' || typeof parameters !== 'object') throw new Fault('no challenge');
    return;
  }
  const tokens = [
    ':',
    '@',
    '/',
    '.',
    '-',
    '_',
    '[',
    ']',
    'sha256:',
    '__',
    ' ',
    '\0',
    'A',
    'a'.repeat(300),
    'a-'.repeat(2000),
    '%2f',
    '..',
    '\n',
    'é',
  ];
  const reference = parseReference(mutateText(pick(next, REFERENCES), next, tokens));
  // What is taken is the same again when it is read again, in either form.
  for (const form of [referenceString(reference), familiarString(reference)])
    if (referenceString(parseReference(form)) !== referenceString(reference))
      throw new Fault(`${JSON.stringify(form)} is read as ${referenceString(parseReference(form))}`);
}
