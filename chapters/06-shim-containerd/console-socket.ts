import { closeSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checked } from '../01-processes/index.ts';
import { c_accept4, c_bind, c_fcntl, c_ioctl, c_listen, c_recvmsg, c_socket } from './syscalls.ts';

export interface ConsoleSocket {
  path: string;
  /**
   * The master side of the container's terminal, as a descriptor of this process.
   * Precondition: the runtime has exited with success, so that what it sent has arrived.
   * @throws SyscallError EAGAIN when nothing was sent
   */
  receive(): number;
  close(): void;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;

/**
 * A socket that a runtime's `--console-socket` can name. The terminal is made inside the container, where its /dev/pts is; the
 * runtime sends the master out, as a descriptor beside a message (SCM_RIGHTS), and exits.
 * Source: unix(7), cmsg(3), runc's docs/terminals.md.
 */
export function openConsoleSocket(): ConsoleSocket {
  // A socket's path has at most 107 bytes: too few for a bundle's.
  const directory = mkdtempSync(join(tmpdir(), 'pty-'));
  const path = join(directory, 's');
  const listener = checked('socket', c_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const close = (): void => {
    closeSync(listener);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const address = Buffer.concat([Buffer.from(new Uint16Array([AF_UNIX]).buffer), Buffer.from(`${path}\0`)]);
    checked('bind', c_bind(listener, address, address.length), JSON.stringify(path));
    checked('listen', c_listen(listener, 1), JSON.stringify(path));
  } catch (error) {
    close();
    throw error;
  }
  return {
    path,
    receive: () => {
      const connection = checked('accept4', c_accept4(listener, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK));
      try {
        return receiveDescriptor(connection);
      } finally {
        closeSync(connection);
      }
    },
    close,
  };
}

function receiveDescriptor(connection: number): number {
  const name = Buffer.alloc(4096);
  // struct cmsghdr {size_t len; int level; int type;} and one int, rounded up to 8 bytes
  const control = Buffer.alloc(24);
  const message = {
    msg_name: null,
    msg_namelen: 0,
    msg_iov: [{ iov_base: name, iov_len: name.length }],
    msg_iovlen: 1,
    msg_control: control,
    msg_controllen: control.length,
    msg_flags: 0,
  };
  checked('recvmsg', c_recvmsg(connection, message, MSG_CMSG_CLOEXEC), 'console socket');
  if (control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS)
    throw new Error('console socket: the runtime sent no terminal');
  const master = control.readInt32LE(16);
  // Neither reading nor writing may stop this process, whatever the container does with its side.
  checked('fcntl', c_fcntl(master, F_SETFL, 'int', O_RDWR | O_NONBLOCK), 'F_SETFL');
  return master;
}

const F_SETFL = 4;
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;

const TIOCSWINSZ = 0x5414;

/** Tells a terminal its size; the processes in front get SIGWINCH. TIOCSWINSZ(2const). */
export function resizeTerminal(master: number, { width, height }: { width: number; height: number }): void {
  const size = Buffer.from(new Uint16Array([height, width, 0, 0]).buffer);
  checked('ioctl', c_ioctl(master, TIOCSWINSZ, 'void *', size), 'TIOCSWINSZ');
}
