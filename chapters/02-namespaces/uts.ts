import { checked } from '../01-processes/index.ts';
import { c_setdomainname, c_sethostname } from './syscalls.ts';

/**
 * Gives the calling thread's UTS namespace a host name.
 * Source: sethostname(2).
 * @throws SyscallError EINVAL beyond 64 bytes, EPERM without CAP_SYS_ADMIN
 */
export function sethostname(name: string): void {
  const bytes = Buffer.from(name);
  checked('sethostname', c_sethostname(bytes, bytes.length), JSON.stringify(name));
}

/** The same for the NIS domain name, which `domainname` prints. @throws SyscallError as sethostname */
export function setdomainname(name: string): void {
  const bytes = Buffer.from(name);
  checked('setdomainname', c_setdomainname(bytes, bytes.length), JSON.stringify(name));
}
