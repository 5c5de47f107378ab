import { writeProcfs } from './procfs.ts';

/** Settings that belong to the ipc namespace. Source: config-linux.md, "Sysctl"; ipc_namespaces(7). */
const OF_IPC = new Set(['kernel.msgmax', 'kernel.msgmnb', 'kernel.msgmni', 'kernel.sem', 'kernel.shmall', 'kernel.shmmax', 'kernel.shmmni', 'kernel.shm_rmid_forced']); // prettier-ignore

/**
 * The namespace that a setting belongs to, or `undefined` when it is the machine's: then a container must not change it.
 * Slashes may stand for dots, as in sysctl(8).
 */
export function sysctlNamespace(name: string): 'ipc' | 'network' | 'uts' | undefined {
  if (name.split('/').some((part) => part === '..' || part === '.')) return undefined; // net/../kernel/core_pattern
  const dotted = name.includes('/') && !name.includes('.') ? name.replaceAll('/', '.') : name;
  if (OF_IPC.has(dotted) || dotted.startsWith('fs.mqueue.')) return 'ipc';
  if (/^net[./]/.test(name)) return 'network';
  return dotted === 'kernel.domainname' || dotted === 'kernel.hostname' ? 'uts' : undefined;
}

/**
 * Writes settings through the host's /proc, which shows each process those of its own namespaces.
 * @param proc what openProcfs gave
 * @throws Error naming the setting
 */
export function writeSysctls(proc: number, settings: Record<string, string>): void {
  for (const [name, value] of Object.entries(settings))
    try {
      writeProcfs(proc, `sys/${sysctlPath(name)}`, value);
    } catch (cause) {
      throw new Error(`linux.sysctl: ${name}=${value}`, { cause });
    }
}

/** `net.ipv4.ip_forward` is net/ipv4/ip_forward; where slashes separate, dots belong to names. */
function sysctlPath(name: string): string {
  const slash = name.indexOf('/');
  const dot = name.indexOf('.');
  return slash !== -1 && (dot === -1 || slash < dot) ? name : name.replaceAll('.', '/');
}
