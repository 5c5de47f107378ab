import { MOUNT_ATTR, MS } from './mount.ts';

/** What an option does: sets a flag, or clears it. */
type Effect = { set: number } | { clear: number };

/** Options of a mount point or of a filesystem that are flags of mount(2). Source: mount(8), runc's libcontainer/specconv. */
export const MOUNT_OPTIONS: Readonly<Record<string, Effect>> = {
  ro: { set: MS.RDONLY },
  rw: { clear: MS.RDONLY },
  nosuid: { set: MS.NOSUID },
  suid: { clear: MS.NOSUID },
  nodev: { set: MS.NODEV },
  dev: { clear: MS.NODEV },
  noexec: { set: MS.NOEXEC },
  exec: { clear: MS.NOEXEC },
  nosymfollow: { set: MS.NOSYMFOLLOW },
  symfollow: { clear: MS.NOSYMFOLLOW },
  sync: { set: MS.SYNCHRONOUS },
  async: { clear: MS.SYNCHRONOUS },
  dirsync: { set: MS.DIRSYNC },
  mand: { set: MS.MANDLOCK },
  nomand: { clear: MS.MANDLOCK },
  noatime: { set: MS.NOATIME },
  atime: { clear: MS.NOATIME },
  nodiratime: { set: MS.NODIRATIME },
  diratime: { clear: MS.NODIRATIME },
  relatime: { set: MS.RELATIME },
  norelatime: { clear: MS.RELATIME },
  strictatime: { set: MS.STRICTATIME },
  nostrictatime: { clear: MS.STRICTATIME },
  lazytime: { set: MS.LAZYTIME },
  nolazytime: { clear: MS.LAZYTIME },
  iversion: { set: MS.I_VERSION },
  noiversion: { clear: MS.I_VERSION },
  silent: { set: MS.SILENT },
  loud: { clear: MS.SILENT },
  bind: { set: MS.BIND },
  rbind: { set: MS.BIND | MS.REC },
  remount: { set: MS.REMOUNT },
  defaults: { set: 0 },
};

/** Options that say how mounts spread between mount namespaces; each is a call of its own. Source: mount_namespaces(7). */
export const PROPAGATION_OPTIONS: Readonly<Record<string, number>> = {
  private: MS.PRIVATE,
  rprivate: MS.PRIVATE | MS.REC,
  shared: MS.SHARED,
  rshared: MS.SHARED | MS.REC,
  slave: MS.SLAVE,
  rslave: MS.SLAVE | MS.REC,
  unbindable: MS.UNBINDABLE,
  runbindable: MS.UNBINDABLE | MS.REC,
};

/** Options for a mount and all below it, by mount_setattr(2). Source: runtime-spec, "Linux mount options". */
export const RECURSIVE_OPTIONS: Readonly<Record<string, Effect>> = {
  rro: { set: MOUNT_ATTR.RDONLY },
  rrw: { clear: MOUNT_ATTR.RDONLY },
  rnosuid: { set: MOUNT_ATTR.NOSUID },
  rsuid: { clear: MOUNT_ATTR.NOSUID },
  rnodev: { set: MOUNT_ATTR.NODEV },
  rdev: { clear: MOUNT_ATTR.NODEV },
  rnoexec: { set: MOUNT_ATTR.NOEXEC },
  rexec: { clear: MOUNT_ATTR.NOEXEC },
  rnodiratime: { set: MOUNT_ATTR.NODIRATIME },
  rdiratime: { clear: MOUNT_ATTR.NODIRATIME },
  rnoatime: { set: MOUNT_ATTR.NOATIME },
  ratime: { clear: MOUNT_ATTR.NOATIME },
  rstrictatime: { set: MOUNT_ATTR.STRICTATIME },
  rnostrictatime: { clear: MOUNT_ATTR.STRICTATIME },
  rrelatime: { set: 0 },
  rnorelatime: { clear: 0 },
  rnosymfollow: { set: MOUNT_ATTR.NOSYMFOLLOW },
  rsymfollow: { clear: MOUNT_ATTR.NOSYMFOLLOW },
};

/** Options that neither mount(2) nor a filesystem knows: the runtime acts on them. */
export const RUNTIME_OPTIONS: readonly string[] = ['tmpcopyup', 'idmap', 'ridmap', 'copy-symlink'];

/** A list of options, sorted by who acts on it. */
export interface ParsedMountOptions {
  /** Bits of MS to set. */
  flags: number;
  /** Bits of MS that were asked to be off, of those that a remount would otherwise keep. */
  cleared: number;
  /** Propagation to set afterwards, one call each, in order. */
  propagation: number[];
  /** For mount_setattr(2), recursively; undefined where nothing asks for it. */
  recursive: { set: number; clear: number } | undefined;
  /** Options of RUNTIME_OPTIONS. */
  runtime: string[];
  /** What is left: the filesystem's own, joined by commas. */
  data: string;
}

/**
 * Sorts options as they stand in fstab, in a config.json or behind `docker -v`. Where two contradict, the later one wins. A word that is in
 * no table is the filesystem's: mount(2) refuses it if the filesystem does not know it.
 */
export function parseMountOptions(options: readonly string[]): ParsedMountOptions {
  const parsed: ParsedMountOptions = {
    flags: 0,
    cleared: 0,
    propagation: [],
    recursive: undefined,
    runtime: [],
    data: '',
  };
  const data: string[] = [];
  for (const option of options) {
    const effect = own(MOUNT_OPTIONS, option);
    const propagation = own(PROPAGATION_OPTIONS, option);
    const recursive = own(RECURSIVE_OPTIONS, option);
    if (effect) {
      const set = 'set' in effect ? effect.set : 0;
      const clear = 'clear' in effect ? effect.clear : 0;
      parsed.flags = (parsed.flags | set) & ~clear;
      parsed.cleared = (parsed.cleared | clear) & ~set;
    } else if (propagation !== undefined) parsed.propagation.push(propagation);
    else if (recursive) {
      const { set, clear } = (parsed.recursive ??= { set: 0, clear: 0 });
      const on = 'set' in recursive ? recursive.set : 0;
      const off = recursiveClear(option, recursive);
      parsed.recursive = { set: (set & ~off) | on, clear: (clear & ~on) | off };
    } else if (RUNTIME_OPTIONS.includes(option)) parsed.runtime.push(option);
    else if (option !== '') data.push(option);
  }
  parsed.data = data.join(',');
  return parsed;
}

/** The access time is one field: whoever sets a value of it must clear the whole field. Source: mount_setattr(2). */
function recursiveClear(option: string, effect: Effect): number {
  const ofAccessTime = /^r(no)?(strict|rel)?atime$/.test(option);
  return ofAccessTime ? MOUNT_ATTR._ATIME : 'clear' in effect ? effect.clear : 0;
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
