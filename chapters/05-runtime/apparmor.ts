import { readFileSync } from 'node:fs';
import { writeProcfs } from './procfs.ts';

/**
 * @throws Error for a profile on a machine whose kernel has no AppArmor, or has it switched off
 */
export function checkAppArmor(profile: string | undefined): void {
  if (!profile || profile === 'unconfined' || isEnabled()) return;
  throw new Error(`process.apparmorProfile: ${JSON.stringify(profile)}: this machine has no AppArmor`);
}

function isEnabled(): boolean {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').startsWith('Y');
  } catch {
    return false;
  }
}

/**
 * Asks for a profile from the next execve(2) on. Written through a descriptor of the host's /proc: what the image shows as /proc may be a
 * directory of its own, and the request would reach nobody (CVE-2019-16884).
 * Source: aa_change_onexec(2).
 * @throws SyscallError ENOENT (EINVAL) when the profile is not loaded
 */
export function confineOnExec(proc: number, profile: string | undefined): void {
  if (!profile || profile === 'unconfined') return;
  writeProcfs(proc, 'self/attr/apparmor/exec', `exec ${profile}`);
}
