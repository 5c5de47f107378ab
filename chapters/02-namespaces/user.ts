import { checked } from '../01-processes/index.ts';
import { c_setgroups, c_setresgid, c_setresuid } from './syscalls.ts';

// Not process.setuid and its sisters: where Node may use io_uring, as on Debian 13, they refuse to work.

/**
 * Makes this process of another user: real, effective and saved. What it loses with that is chapter 1's affair (capabilities); also,
 * its files in /proc are no longer its own, unless PR_SET_DUMPABLE is set again.
 * Source: setresuid(2).
 * @throws SyscallError EPERM without CAP_SETUID; EINVAL for an id that the user namespace does not map
 */
export function setuid(uid: number): void {
  checked('setresuid', c_setresuid(uid, uid, uid), String(uid));
}

/** The same for the group. Before the user, who may not do it any more. Source: setresgid(2). @throws SyscallError */
export function setgid(gid: number): void {
  checked('setresgid', c_setresgid(gid, gid, gid), String(gid));
}

/** Sets the supplementary groups. Source: setgroups(2). @throws SyscallError EPERM, also where the user namespace denies it */
export function setgroups(gids: readonly number[]): void {
  checked('setgroups', c_setgroups(gids.length, new Uint32Array(gids)), gids.join(' ') || 'none');
}
