import { closeSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { c_ioctl, c_socket } from './syscalls.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;

/** Brings up `lo` in a new network namespace, where it is down at first: 127.0.0.1 answers then. Source: netdevice(7). */
export function bringUpLoopback(): void {
  const request = Buffer.alloc(40); // struct ifreq
  request.write('lo');
  request.writeUInt16LE(IFF_UP | IFF_RUNNING, 16);
  const socket = checked('socket', c_socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    checked('ioctl', c_ioctl(socket, SIOCSIFFLAGS, 'void *', request), 'SIOCSIFFLAGS "lo"');
  } finally {
    closeSync(socket);
  }
}
