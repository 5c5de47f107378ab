import { closeSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { connectSocket } from './unix-socket.ts';
import { OCI_VERSION, type OciSeccomp } from './spec.ts';
import type { OciState } from './state.ts';
import { c_pidfd_getfd, c_pidfd_open, c_sendDescriptor } from './syscalls.ts';

/**
 * Hands the descriptor by which a process's filter asks over to the supervisor at linux.seccomp.listenerPath, with the words that the
 * specification wants beside it. `fd` is the process's own number for it: it waits until this returns, and cannot send it itself, for it
 * may be asked about just the calls that sending takes.
 * Source: runtime-spec, config-linux.md, "containerProcessState"; pidfd_getfd(2), seccomp_unotify(2).
 * @throws Error when nobody listens
 */
export function sendListener(
  { listenerPath, listenerMetadata = '' }: OciSeccomp,
  { pid, fd, state }: { pid: number; fd: number; state: OciState },
): void {
  const message = {
    ociVersion: OCI_VERSION,
    fds: ['seccompFd'],
    pid,
    metadata: listenerMetadata,
    state,
  };
  const listener = takeDescriptor(pid, fd);
  try {
    const socket = connectAgent(listenerPath!);
    try {
      const result = c_sendDescriptor(socket, listener, JSON.stringify(message));
      checked('sendmsg', result, `the seccomp descriptor to ${listenerPath}`);
    } finally {
      closeSync(socket);
    }
  } finally {
    closeSync(listener);
  }
}

function connectAgent(path: string): number {
  try {
    return connectSocket(path, 'linux.seccomp.listenerPath');
  } catch (cause) {
    throw new Error('linux.seccomp.listenerPath: failed to connect with seccomp agent', { cause });
  }
}

/** A copy of another process's descriptor. Whoever may trace it, may have it. */
function takeDescriptor(pid: number, fd: number): number {
  const pidfd = checked('pidfd_open', c_pidfd_open(pid), String(pid));
  try {
    return checked('pidfd_getfd', c_pidfd_getfd(pidfd, fd), `${fd} of process ${pid}`);
  } finally {
    closeSync(pidfd);
  }
}
