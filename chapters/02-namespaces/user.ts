import { readFileSync } from 'node:fs';
import { checked, ifAlive, isErrno, type SyscallError } from '../01-processes/index.ts';
import { c_setgroups, c_setresgid, c_setresuid } from './syscalls.ts';

// Not process.setuid and its sisters: where Node may use io_uring, as on Debian 13, they refuse to work.

/**
 * Makes this process of another user: real, effective and saved. What it loses with that is chapter 1's affair (capabilities); also,
 * its files in /proc are no longer its own, unless PR_SET_DUMPABLE is set again.
 * Source: setresuid(2).
 * @throws SyscallError EPERM without CAP_SETUID; EINVAL for an id that the user namespace does not map, which the message then says
 */
export function setuid(uid: number): void {
  saying('uid_map', uid, () => checked('setresuid', c_setresuid(uid, uid, uid), String(uid)));
}

/** The same for the group. Before the user, who may not do it any more. Source: setresgid(2). @throws SyscallError */
export function setgid(gid: number): void {
  saying('gid_map', gid, () => checked('setresgid', c_setresgid(gid, gid, gid), String(gid)));
}

/** Sets the supplementary groups. Source: setgroups(2). @throws SyscallError EPERM, also where the user namespace denies it */
export function setgroups(gids: readonly number[]): void {
  checked('setgroups', c_setgroups(gids.length, new Uint32Array(gids)), gids.join(' ') || 'none');
}

/** EINVAL means one thing here, and the kernel could have said it: no range of this user namespace has the id. */
function saying(file: 'uid_map' | 'gid_map', id: number, call: () => void): void {
  try {
    call();
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
    const refusal = error as SyscallError;
    const map = ifAlive(() => readFileSync(`/proc/self/${file}`, 'utf8')); // a root without /proc: nothing to add
    const ranges = map?.trim().replace(/ +/g, ' ').replaceAll('\n', ',');
    if (ranges !== undefined)
      refusal.message += `: this user namespace's ${file} has no ${id}: ${ranges || 'it is empty'}`;
    throw refusal;
  }
}
