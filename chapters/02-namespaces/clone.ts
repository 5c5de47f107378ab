import { closeSync, readSync, writeSync } from 'node:fs';
import {
  checked,
  closeQuietly,
  _exit,
  exitCode,
  fork,
  keepMemoryForChildren,
  pipe,
  runChild,
  SyscallError,
  waitpid,
} from '../01-processes/index.ts';
import { CLONE, flagNames } from './namespaces.ts';
import { c_clone3, SYS } from './syscalls.ts';

/** sizeof(struct clone_args), first version: eight numbers of 64 bits; flags is the first, exit_signal the fifth. */
const CLONE_ARGS_BYTES = 64;
/** The third version, of Linux 5.7, has three more; the last is a cgroup. */
const CLONE_ARGS_BYTES_WITH_CGROUP = 88;
const CLONE_INTO_CGROUP = 1n << 33n;

/**
 * Makes a child in new namespaces, in one step: it is in all of them from its first instruction, and if there is a new pid
 * namespace, it is its PID 1. `child` runs in it as fork's does; its id, as the caller sees it, is returned, and the caller waits for it.
 *
 * The call itself is made in a helper process: malloc is sane in a raw clone only where one thread runs, and with CLONE_PARENT the new
 * process is the caller's child, not the helper's (runc's nsexec does the same).
 * @param cgroup descriptor of a folder of cgroup v2 that the child is to be born in
 * Source: clone(2).
 * @throws SyscallError as the kernel refused: EPERM without CAP_SYS_ADMIN (NEWUSER alone needs none), EINVAL, ENOSPC
 */
export function clone(flags: number, child: () => number | void, cgroup?: number): number {
  const { read, write } = pipe();
  const answer = Buffer.alloc(8);
  try {
    const helper = fork(() => {
      closeSync(read);
      const pid = cloneHere(flags | CLONE.PARENT, cgroup);
      if (pid === 0) {
        closeQuietly(write);
        _exit(runChild(child));
      }
      answer.writeInt32LE(pid);
      writeSync(write, answer);
    });
    closeSync(write);
    const got = readSync(read, answer);
    const status = exitCode(waitpid(helper));
    if (got === 0) throw new Error(`clone ${flagNames(flags)}: the helper ended with status ${status}`);
  } finally {
    closeQuietly(write);
    closeSync(read);
  }
  const result = answer.readInt32LE();
  if (result < 0) throw new SyscallError('clone', -result, flagNames(flags));
  return result;
}

/** The raw call: 0 in the child, its id in the caller, or the negative error number. */
function cloneHere(flags: number, cgroup: number | undefined): number {
  const into = cgroup !== undefined;
  const args = Buffer.alloc(into ? CLONE_ARGS_BYTES_WITH_CGROUP : CLONE_ARGS_BYTES);
  args.writeBigUInt64LE(BigInt(flags >>> 0) | (into ? CLONE_INTO_CGROUP : 0n));
  if (into) args.writeBigUInt64LE(BigInt(cgroup), CLONE_ARGS_BYTES_WITH_CGROUP - 8);
  // Also what V8 has added to its heap since the fork.
  keepMemoryForChildren();
  try {
    return checked('clone3', c_clone3(SYS.clone3, args, args.length));
  } catch (error) {
    return -(error as SyscallError).errno;
  }
}
