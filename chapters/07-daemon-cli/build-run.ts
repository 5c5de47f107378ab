import { shellCommand as commandOf } from '../04-overlayfs/index.ts';
import type { Instruction } from '../04-overlayfs/index.ts';
import { ApiError } from './api-error.ts';
import { defaultsOf, type Build, type StageState } from './build-state.ts';
import { createContainer } from './create-container.ts';
import { shortId, type ContainerRecord } from './container.ts';
import { followRun } from './follow.ts';
import type { NewLayer } from './make-image.ts';
import { removeContainer } from './remove-container.ts';
import { containerLayer } from './route-commit.ts';
import { startContainer } from './start-container.ts';
import { stopContainer } from './stop-container.ts';

/**
 * The step's command, and the arguments that it sees: together they say what it depends on.
 * @param hidden arguments that it sees and does not depend on: proxies differ from place to place, and what is made is the same
 */
export function runStep(
  state: StageState,
  instruction: Instruction,
  hidden: readonly [string, string][] = [],
): { line: string[]; command: string[]; env: string[] } {
  const command = commandOf(defaultsOf(state), instruction);
  const names = (defaultsOf(state).Env ?? []).map((entry) => entry.slice(0, entry.indexOf('=')));
  const env = [...state.args]
    .filter(([name]) => !names.includes(name))
    .map(([name, value]) => `${name}=${value}`)
    .sort();
  const prefix = env.length > 0 ? [`|${env.length}`, ...env] : [];
  const unsaid = hidden
    .filter(([name]) => !names.includes(name) && !state.args.has(name))
    .map(([name, value]) => `${name}=${value}`);
  return { line: [...prefix, ...command], command, env: [...env, ...unsaid] };
}

/**
 * RUN: a container of the stage's image runs the command, and what it has changed becomes a layer. The container goes in any case.
 * @throws ApiError with Docker's words when the command fails
 */
export async function run(
  build: Build,
  state: StageState,
  { command, env }: { command: string[]; env: string[] },
): Promise<NewLayer> {
  const { daemon, say, signal, lease } = build;
  const config = { Image: state.id, Cmd: command, Entrypoint: [''], Env: env };
  const record = await createContainer(daemon, config, undefined);
  const onGone = (): void =>
    void stopContainer(daemon, record, { seconds: 0, signal: 'SIGKILL' }).catch(() => undefined);
  try {
    say(` ---> Running in ${shortId(record.id)}\n`);
    signal.throwIfAborted();
    signal.addEventListener('abort', onGone, { once: true });
    const exitCode = await output(build, record);
    signal.throwIfAborted();
    if (exitCode !== 0)
      throw new ApiError(500, `The command '${command.join(' ')}' returned a non-zero code: ${exitCode}`);
    return await containerLayer(daemon, record, lease);
  } finally {
    signal.removeEventListener('abort', onGone);
    await removeContainer(daemon, record, { force: true, volumes: true });
    say(`Removed intermediate container ${shortId(record.id)}\n`);
  }
}

/** Starts it, passes its output on, and says how it ended. */
async function output({ daemon, say }: Build, record: ContainerRecord): Promise<number> {
  const ended = daemon.runs.of(record).nextEnd();
  await startContainer(daemon, record);
  const never = new AbortController().signal;
  for await (const { data } of followRun(daemon.containers.journal(record.id), {
    from: 0,
    over: ended,
    signal: never,
  }))
    if (data.length > 0) say(data.toString());
  return (await ended).exitCode;
}
