import koffi from 'koffi';
import { declare } from '../01-processes/index.ts';

// Sockets of the unix family: unix(7), socket(2), bind(2), listen(2), accept(2). Node has sockets of its own; these are for the
// one thing that they cannot do: receive a descriptor.
export const c_socket = declare<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
export const c_bind = declare<(sockfd: number, addr: Buffer, addrlen: number) => number>(
  'int bind(int sockfd, const uint8_t *addr, uint32_t addrlen)',
);
export const c_listen = declare<(sockfd: number, backlog: number) => number>(
  'int listen(int sockfd, int backlog)',
);
export const c_accept4 = declare<(sockfd: number, addr: null, addrlen: null, flags: number) => number>(
  'int accept4(int sockfd, void *addr, void *addrlen, int flags)',
);

/** Where a message's bytes go: readv(2). */
koffi.struct('shim_iovec', { iov_base: 'void *', iov_len: 'size_t' });
/** A message and what travels beside it: recv(2), cmsg(3). */
koffi.struct('shim_msghdr', {
  msg_name: 'void *',
  msg_namelen: 'uint32_t',
  msg_iov: 'shim_iovec *',
  msg_iovlen: 'size_t',
  msg_control: 'void *',
  msg_controllen: 'size_t',
  msg_flags: 'int',
});
export interface Msghdr {
  msg_name: null;
  msg_namelen: number;
  msg_iov: { iov_base: Buffer; iov_len: number }[];
  msg_iovlen: number;
  msg_control: Buffer;
  msg_controllen: number;
  msg_flags: number;
}
export const c_recvmsg = declare<(sockfd: number, msg: Msghdr, flags: number) => number | bigint>(
  'intptr_t recvmsg(int sockfd, shim_msghdr *msg, int flags)',
);

// Size of a terminal's window: TIOCSWINSZ(2const)
export const c_ioctl = declare<(fd: number, op: number, type: 'void *', arg: Buffer) => number>(
  'int ioctl(int fd, unsigned long op, ...)',
);

// Flags of an open file: F_SETFL(2const)
export const c_fcntl = declare<(fd: number, op: number, type: 'int', arg: number) => number>(
  'int fcntl(int fd, int op, ...)',
);

// Named pipes: mkfifo(3)
export const c_mkfifo = declare<(pathname: string, mode: number) => number>(
  'int mkfifo(const char *pathname, uint32_t mode)',
);
