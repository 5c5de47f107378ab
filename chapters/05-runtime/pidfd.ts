import { closeSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { c_pidfd_open, c_sendDescriptor } from './syscalls.ts';
import { connectSocket } from './unix-socket.ts';

/**
 * For --pidfd-socket: hands over a descriptor of a process. Unlike its number it never means another one; who has it can wait for its end, and
 * signal it. Source: pidfd_open(2), SCM_RIGHTS in unix(7)
 * @throws SyscallError; nothing happens without a path
 */
export function sendPidfd(path: string | undefined, pid: number): void {
  if (path === undefined) return;
  const socket = connectSocket(path, '--pidfd-socket');
  try {
    const pidfd = checked('pidfd_open', c_pidfd_open(pid), String(pid));
    try {
      checked('sendmsg', c_sendDescriptor(socket, pidfd, path), `the pidfd to ${JSON.stringify(path)}`);
    } finally {
      closeSync(pidfd);
    }
  } finally {
    closeSync(socket);
  }
}
