import { closeSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { c_bind, c_connect, c_socket } from './syscalls.ts';

export const AF_UNIX = 1;
export const SOCK = { STREAM: 1, DGRAM: 2, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
/** sizeof(sun_path) - 1. Source: unix(7). */
const MAX_SOCKET_PATH = 107;

/**
 * Connects to a socket that has a path.
 * @param property who named it, for the error
 * @throws SyscallError ENOENT, ECONNREFUSED; RangeError for a path that does not fit
 */
export const connectSocket = (path: string, property: string, type: number = SOCK.STREAM): number =>
  socketWith(type, path, property, 'connect', c_connect);

/** Makes a socket of that path. @throws SyscallError EADDRINUSE; RangeError for a path that does not fit */
export const bindSocket = (path: string, property: string, type: number): number =>
  socketWith(type, path, property, 'bind', c_bind);

function socketWith(
  type: number,
  path: string,
  property: string,
  call: string,
  use: (fd: number, address: Buffer, length: number) => number,
): number {
  const address = unixAddress(path, property);
  const fd = checked('socket', c_socket(AF_UNIX, type | SOCK.CLOEXEC, 0));
  try {
    checked(call, use(fd, address, address.length), JSON.stringify(path));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** struct sockaddr_un. A name that begins with @ is in the abstract space, where a NUL stands in its place. */
function unixAddress(path: string, property: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length > MAX_SOCKET_PATH)
    throw new RangeError(
      `${property}: ${bytes.length} bytes; a socket's path has at most ${MAX_SOCKET_PATH}`,
    );
  const abstract = bytes[0] === 0x40;
  const address = Buffer.alloc(2 + bytes.length + (abstract ? 0 : 1));
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, 2);
  if (abstract) address[2] = 0;
  return address;
}
