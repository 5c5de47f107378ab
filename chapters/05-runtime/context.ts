import type { Log } from './log.ts';

/** What the global options say; every verb gets it. */
export interface Context {
  /** Directory with one directory a container. */
  root: string;
  log: Log;
}
