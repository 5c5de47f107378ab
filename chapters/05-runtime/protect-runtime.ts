import { accessSync, constants } from 'node:fs';
import { execve, isErrno } from '../01-processes/index.ts';
import { fdPath, MOUNT_ATTR, mountSetattr, openTree } from '../02-namespaces/index.ts';
import type { OciSpec } from './spec.ts';

/**
 * Sees to it that nobody in the container can write to the host's Node by way of this process (CVE-2019-5736, the way by exec).
 *
 * While this process is in the container's pid namespace and not the program yet, /proc/PID/exe is the host's Node. It is not dumpable, so only
 * who has CAP_SYS_PTRACE may follow that link. For a container that does, or that shares its pid namespace with one that may, this program is
 * started once more, from a mount of its own executable that is read-only and hangs nowhere: a descriptor that someone takes of it
 * can never be opened for writing. That costs a second start of Node, so the others do without.
 *
 * To be called before anything has been made. It does not return if it starts this program again.
 * @throws SyscallError
 */
export function protectRuntime(spec: OciSpec): void {
  // A person without root cannot make such a mount; and the container's capabilities are none over a process that is not of its user namespace.
  if (process.geteuid!() !== 0 || !canBeLookedInto(spec) || !executableIsWritable()) return;
  const node = openTree('/proc/self/exe');
  mountSetattr(node, { set: MOUNT_ATTR.RDONLY });
  const env = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  execve(fdPath(node), [process.execPath, ...process.execArgv, ...process.argv.slice(1)], env);
}

function canBeLookedInto({ process: program, linux }: OciSpec): boolean {
  const may = Object.values(program?.capabilities ?? {}).some((set: string[]) =>
    set.includes('CAP_SYS_PTRACE'),
  );
  return may || (linux?.namespaces?.some(({ type, path }) => type === 'pid' && path) ?? false);
}

/** Not so on a read-only mount, as after the second start; nor where the whole system is one. */
function executableIsWritable(): boolean {
  try {
    accessSync('/proc/self/exe', constants.W_OK);
    return true;
  } catch (error) {
    if (isErrno(error, 'EROFS', 'EACCES')) return false;
    throw error;
  }
}
