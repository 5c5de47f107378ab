import { join } from 'node:path';
import {
  readState,
  writeState,
  type Versioned,
  digestOf,
  type ContainerDefaults,
  type Credentials,
  type Descriptor,
  type ImageConfig,
  type Variables,
} from '../04-overlayfs/index.ts';
import type { BuildContext } from './build-context.ts';
import type { Daemon } from './daemon.ts';

/** What a build is told. */
export interface BuildRequest {
  dockerfile: string;
  tags: string[];
  buildArgs: Record<string, string | null>;
  labels: Record<string, string>;
  target: string;
  noCache: boolean;
  pull: boolean;
  quiet: boolean;
  /** Whom to be, by registry as config.json names it. */
  credentials: ReadonlyMap<string, Credentials>;
}

/** A build under way. */
export interface Build {
  daemon: Daemon;
  request: BuildRequest;
  context: BuildContext;
  /** Holds what has been made so far. */
  lease: string;
  /** The character that joins lines. */
  escape: string;
  /** Variables of before the first FROM. */
  globals: Map<string, string>;
  cache: StepCache;
  signal: AbortSignal;
  /** One piece of what the client is shown. */
  say(text: string): void;
  /** Stages that are done, by number and by name. */
  done: Map<string, StageState>;
}

/** How far a stage is: always an image. */
export interface StageState {
  /** The image's id; empty for `scratch`, before its first step. */
  id: string;
  config: ImageConfig;
  layers: Descriptor[];
  /** ARGs of this stage that have a value. */
  args: Map<string, string>;
  /** What this stage's MAINTAINER said; that of the image below is not taken over. */
  author: string;
  /** A step that was not in the cache ends its use: what comes after was made from something else. */
  cached: boolean;
}

export const defaultsOf = ({ config }: StageState): ContainerDefaults => config.config ?? {};

/** What `$name` means at this point: the image's environment hides arguments. */
export function variablesOf(state: StageState): Variables {
  const env = (defaultsOf(state).Env ?? []).map((entry): [string, string] => {
    const at = entry.indexOf('=');
    return [entry.slice(0, at), entry.slice(at + 1)];
  });
  return new Map([...state.args, ...env]);
}

/** Steps that were built before: the image that came out, by what went in. */
export interface StepCache {
  find(parent: string, step: string): string | undefined;
  add(parent: string, step: string, image: string): Promise<void>;
  clear(): Promise<void>;
}

interface CacheFile extends Versioned {
  steps: Record<string, string>;
}

const VERSION = 1;

/** Opens the cache of a daemon. It names images; whether they are still there is for the user to see. */
export async function openStepCache({ options }: Daemon): Promise<StepCache> {
  const path = join(options.dataRoot, 'build-cache.json');
  const steps: Record<string, string> = (await readState<CacheFile>(path, VERSION))?.steps ?? {};
  const save = (next: Record<string, string>): Promise<void> => {
    const state: CacheFile = { version: VERSION, steps: next };
    return writeState(path, state);
  };
  // As Docker: the image below, and the step's line of history, which says all that matters of it.
  const key = (parent: string, step: string): string => digestOf(`${parent}\0${step}`);
  return {
    find: (parent, step) => steps[key(parent, step)],
    add: async (parent, step, image) => {
      steps[key(parent, step)] = image;
      await save(steps);
    },
    clear: () => save({}),
  };
}
