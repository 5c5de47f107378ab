import type { Log } from './log.ts';

/** What the global options say; every verb gets it. */
export interface Context {
  /** Directory with one directory a container. */
  root: string;
  log: Log;
  /** --systemd-cgroup: cgroups are made by systemd. */
  systemdCgroup: boolean;
  /** --rootless: whether to do without a cgroup that may not be made. Undefined: `auto`. */
  rootless?: boolean;
}
