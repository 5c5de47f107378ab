import {
  CONFIG_CHANGES,
  historyStep,
  hostPlatform,
  nop,
  parseDockerfile,
  StoreError,
  words,
  type Dockerfile,
  type ImageConfig,
  type Instruction,
  type Stage,
} from '../04-overlayfs/index.ts';
import { badParameter } from './api-error.ts';
import { makeDirectory, withCopies } from './build-files.ts';
import { imageFor } from './build-images.ts';
import { run, runStep } from './build-run.ts';
import { defaultsOf, variablesOf, type Build, type BuildRequest, type StageState } from './build-state.ts';
import { shortId } from './container.ts';
import { makeImage, withStep, type NewLayer } from './make-image.ts';

/** Arguments that need no ARG: they are not part of the image, and not of the cache's key. */
const PREDEFINED = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);

/**
 * Builds the stages of a Dockerfile one after the other, up to the one that is wanted, and says that one's image. Each step is an image of
 * its own: the one before it with one change, found in the cache where the same step was done on the same image before.
 * @throws ApiError, StoreError with Docker's words, naming the line
 */
export async function runBuild(build: Omit<Build, 'escape' | 'globals' | 'done'>): Promise<string> {
  const text = build.context.read(build.request.dockerfile);
  if (text === undefined)
    throw badParameter(`Cannot locate specified Dockerfile: ${build.request.dockerfile}`);
  const file = parse(text);
  const stages = wantedStages(file, build.request.target);
  const whole: Build = { ...build, escape: file.escape, globals: new Map(), done: new Map() };
  for (const arg of file.args) declareArgument(whole, whole.globals, arg, whole.globals);
  const steps = stages.reduce((sum, { instructions }) => sum + instructions.length + 1, 0);
  let step = 0;
  const announce = (name: string, text: string): void =>
    build.say(`Step ${++step}/${steps} : ${name} ${text}\n`);
  let state: StageState | undefined;
  for (const [i, stage] of stages.entries()) {
    state = await buildStage(whole, stage, announce);
    whole.done.set(String(i), state);
    if (stage.name !== undefined) whole.done.set(stage.name, state);
  }
  const labels = Object.entries(build.request.labels);
  if (labels.length > 0) {
    const Labels = { ...defaultsOf(state!).Labels, ...Object.fromEntries(labels) };
    const step = ` LABEL ${labels.map(([name, value]) => `${name}=${value}`).join(' ')}`;
    state = await advance(whole, state!, nop(defaultsOf(state!), step), { ...defaultsOf(state!), Labels });
  }
  if (state!.id === '') throw badParameter('No image was generated. Is your Dockerfile empty?');
  return state!.id;
}

function parse(text: string): Dockerfile {
  try {
    return parseDockerfile(text);
  } catch (error) {
    throw error instanceof StoreError ? badParameter(error.message, error) : error;
  }
}

function wantedStages({ stages }: Dockerfile, target: string): Stage[] {
  if (target === '') return stages;
  const index = /^\d+$/.test(target)
    ? Number(target)
    : stages.findIndex(({ name }) => name === target.toLowerCase());
  if (!stages[index]) throw badParameter(`failed to reach build target ${target} in Dockerfile`);
  return stages.slice(0, index + 1);
}

async function buildStage(
  build: Build,
  stage: Stage,
  announce: (name: string, text: string) => void,
): Promise<StageState> {
  announce('FROM', stage.from.text);
  let state = await baseOf(build, stage);
  if (state.id !== '') build.say(` ---> ${shortId(state.id)}\n`);
  for (const trigger of defaultsOf(state).OnBuild ?? []) {
    const [instruction] = parse(`FROM scratch\n${trigger}`).stages[0]!.instructions;
    state = await take(build, withoutTriggers(state), instruction!);
  }
  state = withoutTriggers(state);
  for (const instruction of stage.instructions) {
    build.signal.throwIfAborted();
    const flags = Object.entries(instruction.flags).flatMap(([name, values]) =>
      values.map((value) => `--${name}=${value} `),
    );
    announce(instruction.name, `${flags.join('')}${instruction.text}`);
    const before = state.id;
    state = await take(build, state, instruction);
    if (state.id !== before) build.say(` ---> ${shortId(state.id)}\n`);
  }
  return state;
}

function withoutTriggers(state: StageState): StageState {
  const { OnBuild: _, ...config } = defaultsOf(state);
  return { ...state, config: { ...state.config, config } };
}

/** What a stage begins with: an earlier stage, nothing, or an image, which is pulled where it is not there. */
async function baseOf(build: Build, { base, from }: Stage): Promise<StageState> {
  const { globals, request } = build;
  const name = words(base, globals, { escape: build.escape, line: from.line }).join('');
  if (name === '')
    throw badParameter(
      `dockerfile parse error on line ${from.line}: base name (${base}) should not be blank`,
    );
  const fresh = { args: new Map<string, string>(), author: '', cached: !request.noCache };
  const earlier = build.done.get(name.toLowerCase());
  if (earlier) return { ...earlier, ...fresh };
  if (name === 'scratch') {
    const config: ImageConfig = { ...hostPlatform(), config: {}, rootfs: { type: 'layers', diff_ids: [] } };
    return { id: '', config, layers: [], ...fresh };
  }
  const image = await imageFor(build, name, request.pull);
  return { id: image.id, config: image.config, layers: image.manifest.layers, ...fresh };
}

/** One instruction. */
async function take(build: Build, state: StageState, instruction: Instruction): Promise<StageState> {
  const { name, text } = instruction;
  if (name === 'ARG') {
    const args = new Map(state.args);
    const step = declareArgument(build, args, instruction, variablesOf(state), build.globals);
    // A step like others, if there is an image to note it in.
    const next =
      state.id === ''
        ? state
        : await advance(build, state, nop(defaultsOf(state), ` ARG ${step}`), defaultsOf(state));
    return { ...next, args };
  }
  if (name === 'MAINTAINER') {
    const words = nop(defaultsOf(state), ` ${name} ${text}`);
    return advance(build, { ...state, author: text }, words, defaultsOf(state));
  }
  if (name === 'RUN') {
    if (state.id === '') throw badParameter('RUN on an empty base: FROM scratch has no program to run');
    const step = runStep(state, instruction, predefined(build.request.buildArgs));
    return advance(build, state, step.line, defaultsOf(state), () => run(build, state, step));
  }
  if (name === 'COPY' || name === 'ADD')
    return withCopies(build, state, instruction, ({ text, run }) =>
      advance(build, state, nop(defaultsOf(state), text), defaultsOf(state), run),
    );
  const variables = variablesOf(state);
  const config = CONFIG_CHANGES[name]!(defaultsOf(state), instruction, variables, build.escape);
  const files = name === 'WORKDIR' ? () => makeDirectory(build, state, config.WorkingDir!) : undefined;
  const step = historyStep(instruction, config, variables, build.escape);
  return advance(build, state, nop(config, step), config, files);
}

/**
 * The image after a step: from the cache, or made.
 * @param words what the step says of itself, as a command
 */
async function advance(
  build: Build,
  state: StageState,
  words: readonly string[],
  config: NonNullable<ImageConfig['config']>,
  files?: () => Promise<NewLayer | undefined>,
): Promise<StageState> {
  const { daemon, cache, lease, say } = build;
  const step = words.join(' ');
  // What is written may be read in two ways (ENV a="1 b=2"): what came of it decides, too.
  const key = `${step}\0${JSON.stringify(config)}`;
  const known = state.cached ? cache.find(state.id, key) : undefined;
  const found = known && (await daemon.images.find(known).catch(() => undefined));
  if (found) {
    say(' ---> Using cache\n');
    return { ...state, id: found.id, config: found.config, layers: found.manifest.layers };
  }
  const layer = await files?.();
  const from = { ...config, Image: state.id };
  const container = { id: '', config: { ...from, Cmd: [...words] } };
  const { author } = state;
  const made = withStep(state, { history: { created_by: step }, config: from, container, author }, layer);
  const id = await makeImage(daemon, { ...made, step: true, parent: state.id }, lease);
  await cache.add(state.id, key, id);
  return { ...state, id, ...made, cached: false };
}

/** ARG: what the client gave, else the default, else what it was before the first FROM. Says what was declared. */
function declareArgument(
  { request, escape }: Build,
  args: Map<string, string>,
  { text, line }: Instruction,
  variables: ReadonlyMap<string, string>,
  globals?: ReadonlyMap<string, string>,
): string {
  const declared = words(text, variables, { escape, line });
  for (const word of declared) {
    const at = word.indexOf('=');
    const name = at === -1 ? word : word.slice(0, at);
    if (!/^\w+$/.test(name))
      throw badParameter(`dockerfile parse error on line ${line}: ARG ${JSON.stringify(name)} is no name`);
    const given = request.buildArgs[name];
    const value = given ?? (at === -1 ? globals?.get(name) : word.slice(at + 1));
    if (value !== undefined && value !== null) args.set(name, value);
  }
  return declared.join(' ');
}

/** The arguments that were given and need no ARG. */
const predefined = (given: BuildRequest['buildArgs']): [string, string][] =>
  Object.entries(given).filter(
    (entry): entry is [string, string] => PREDEFINED.includes(entry[0]) && entry[1] !== null,
  );

/** Arguments that no ARG has asked for: said, and no error. */
export function unusedArguments(text: string, given: readonly string[]): string[] {
  const { args, stages } = parse(text);
  const declared = [...args, ...stages.flatMap(({ instructions }) => instructions)].filter(
    ({ name }) => name === 'ARG',
  );
  const names = declared.flatMap(({ text }) => text.split(/\s+/).map((word) => word.replace(/=.*/, '')));
  return given.filter((name) => !names.includes(name) && !PREDEFINED.includes(name));
}
