import { setTimeout as sleep } from 'node:timers/promises';
import { serializer } from '../04-overlayfs/index.ts';
import type { ContainerRecord } from './container.ts';

/** How a run of a container ended. */
export interface Ended {
  exitCode: number;
  /** Why there was no run; empty otherwise. */
  error: string;
}

/** What is known of a container as long as this daemon lives. */
export interface Run {
  /** One change of the container at a time: `start` does not begin while its last end is being put in order. */
  serially<T>(task: () => Promise<T>): Promise<T>;
  /** Resolves when the changes that are under way now are done: who speaks of a container that is being started means the started one. */
  settled(): Promise<void>;
  /** Resolves when the present or the next run has ended, and all is in order: state, journal, network. */
  nextEnd(): Promise<Ended>;
  /** Resolves when the next start has succeeded. */
  nextStart(): Promise<void>;
  /** Resolves when the container is removed. */
  removal(): Promise<Ended>;
  started(): void;
  ended(how: Ended): void;
  removed(how: Ended): void;
  /** Somebody is being told the container's output: it is not to be removed under their eyes. */
  attach<T>(reader: Promise<T>): Promise<T>;
  /** Waits until nobody is, at most so many milliseconds. */
  detached(limit: number): Promise<void>;
  /** Standard input's writers, to be closed at the end of the run. */
  stdin: Set<{ destroy(): void }>;
  /** Cancels a start that the restart policy has planned. */
  cancelRestart: (() => void) | undefined;
}

/** The runs, made when first asked for. */
export interface Runs {
  of(record: ContainerRecord): Run;
  forget(record: ContainerRecord): void;
}

export function openRuns(): Runs {
  const runs = new Map<string, Run>();
  return {
    of: ({ id }) => {
      let run = runs.get(id);
      if (!run) runs.set(id, (run = newRun()));
      return run;
    },
    forget: ({ id }) => void runs.delete(id),
  };
}

function newRun(): Run {
  const starts: (() => void)[] = [];
  const ends: ((how: Ended) => void)[] = [];
  const removals: ((how: Ended) => void)[] = [];
  const attached = new Set<Promise<unknown>>();
  const call = (waiting: ((how: Ended) => void)[], how: Ended): void =>
    waiting.splice(0).forEach((resolve) => resolve(how));
  const serially = serializer();
  return {
    serially,
    settled: () => serially(async () => undefined),
    nextEnd: () => new Promise((resolve) => ends.push(resolve)),
    nextStart: () => new Promise((resolve) => starts.push(resolve)),
    started: () => starts.splice(0).forEach((resolve) => resolve()),
    removal: () => new Promise((resolve) => removals.push(resolve)),
    ended: (how) => call(ends, how),
    removed: (how) => {
      call(ends, how);
      call(removals, how);
    },
    attach: (reader) => {
      attached.add(reader);
      const gone = (): void => void attached.delete(reader);
      reader.then(gone, gone);
      return reader;
    },
    detached: async (limit) => {
      const timer = new AbortController();
      await Promise.race([
        Promise.allSettled(attached),
        sleep(limit, undefined, { signal: timer.signal }).catch(() => undefined),
      ]);
      timer.abort();
    },
    stdin: new Set(),
    cancelRestart: undefined,
  };
}
