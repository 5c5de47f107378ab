import { closeSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import { checked, isErrno } from '../01-processes/index.ts';
import { moveMount, mountWithOptions, parseMountOptions } from '../02-namespaces/index.ts';
import { failedPrecondition } from './errors.ts';
import type { Mount } from './mounts.ts';
import { c_fsconfig, c_fsmount, c_fsopen, SYS } from './syscalls.ts';

/** The kernel copies one page of mount(2)'s options. */
const DATA_LIMIT = 4095;
/** And stacks no more directories than this: OVL_MAX_STACK. */
const STACK_LIMIT = 500;

/**
 * Mounts an overlay of many layers. mount(2) takes all options in one page, which about fifty layers of long names fill. The new mount
 * API takes them one by one; where the kernel does not know that for layers (lowerdir+), their paths are shortened.
 * @throws SyscallError; StoreError FAILED_PRECONDITION when there are more layers than the kernel stacks, or takes in a page
 */
export function mountLayers(mount: Mount, target: string): void {
  const layers = lowersOf(mount);
  if (layers.length > STACK_LIMIT)
    throw failedPrecondition(
      `mount on ${JSON.stringify(target)}: ${layers.length} layers; overlayfs stacks ${STACK_LIMIT} at most`,
    );
  if (Buffer.byteLength(mount.options.join()) <= DATA_LIMIT) return mountWithOptions({ ...mount, target });
  if (!mountStepByStep(mount, target)) mountByRelativePaths(mount, target);
}

const LOWERDIR = 'lowerdir=';

const lowersOf = ({ options }: Mount): string[] =>
  options
    .find((option) => option.startsWith(LOWERDIR))
    ?.slice(LOWERDIR.length)
    .split(':') ?? [];

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
/** What fsconfig(2) is to do. An enum of linux/mount.h. */
const CONFIGURE = { FLAG: 0, STRING: 1, CREATE: 6 } as const;

/**
 * With the new mount API: a filesystem is opened, configured and created, and only then is there a mount, which hangs nowhere until it is
 * moved to its place. False when this kernel takes no layers that way, or not these.
 * Source: fsopen(2), fsconfig(2), fsmount(2); overlayfs.rst, "lowerdir+".
 * @throws SyscallError with the kernel's own words
 */
export function mountStepByStep(mount: Mount, target: string): boolean {
  const { flags, propagation, data } = parseMountOptions(mount.options);
  if (flags !== 0 || propagation.length > 0) return false;
  let context: number;
  try {
    context = Number(checked('fsopen', c_fsopen(SYS.fsopen, mount.type, FSOPEN_CLOEXEC), mount.type));
  } catch (error) {
    if (isErrno(error, 'ENOSYS')) return false;
    throw error;
  }
  const configure = (command: number, key: string | null, value: string | null): void =>
    void checked(
      'fsconfig',
      c_fsconfig(SYS.fsconfig, context, command, key, value, 0),
      key === null ? `create ${mount.type}` : [key, ...(value === null ? [] : [value])].join('='),
    );
  try {
    //#region step-by-step
    configure(CONFIGURE.STRING, 'source', mount.source);
    for (const layer of lowersOf(mount))
      try {
        configure(CONFIGURE.STRING, 'lowerdir+', layer);
      } catch (error) {
        // Not known before Linux 6.7; and a value may have 255 bytes.
        if (isErrno(error, 'EINVAL')) return false;
        throw error;
      }
    for (const option of data.split(',').filter((option) => !option.startsWith(LOWERDIR))) {
      const [key, ...value] = option.split('=');
      if (value.length === 0) configure(CONFIGURE.FLAG, key!, null);
      else configure(CONFIGURE.STRING, key!, value.join('='));
    }
    configure(CONFIGURE.CREATE, null, null);
    const made = Number(checked('fsmount', c_fsmount(SYS.fsmount, context, FSMOUNT_CLOEXEC, 0), target));
    try {
      moveMount(made, target);
    } finally {
      closeSync(made);
    }
    //#endregion
    return true;
  } catch (error) {
    const words = kernelsWords(context);
    throw words ? new Error(`mount on ${JSON.stringify(target)}: ${words}`, { cause: error }) : error;
  } finally {
    closeSync(context);
  }
}

/** What the kernel has to say of a filesystem that it did not make; much of it stands in dmesg alone. */
function kernelsWords(context: number): string {
  const lines: string[] = [];
  const line = Buffer.alloc(1024);
  try {
    for (;;) lines.push(line.toString('utf8', 0, readSync(context, line)).trim());
  } catch {
    return lines.join('; ');
  }
}

/** With the layers' paths given from the directory above all of them, as containerd does. */
export function mountByRelativePaths(mount: Mount, target: string): void {
  const layers = lowersOf(mount);
  const common = commonDirectory(layers);
  const options = mount.options.map((option) => option.replaceAll(common, ''));
  const length = Buffer.byteLength(options.join());
  if (length > DATA_LIMIT)
    throw failedPrecondition(
      `mount on ${JSON.stringify(target)}: ${layers.length} layers need ${length} bytes of options; the kernel takes ${DATA_LIMIT}`,
    );
  const before = process.cwd();
  process.chdir(common);
  try {
    mountWithOptions({ ...mount, options, target });
  } finally {
    process.chdir(before);
  }
}

/** The directory above all `paths`, with a slash at its end. */
function commonDirectory(paths: readonly string[]): string {
  let common = dirname(paths[0] ?? '/');
  while (common !== '/' && !paths.every((path) => path.startsWith(`${common}/`))) common = dirname(common);
  return common === '/' ? '/' : `${common}/`;
}
