import { chmodSync, closeSync, constants, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { checked, isErrno, pipe } from '../01-processes/index.ts';
import { sleep } from './hooks.ts';
import { remove } from './remove.ts';
import type { OciSpec } from './spec.ts';
import { isInitAlive, stateDirectory, type ContainerState } from './state.ts';
import { c_recv, c_sendDescriptor } from './syscalls.ts';
import { bindSocket, connectSocket, SOCK } from './unix-socket.ts';

/** Where the container finds the socket. */
const INSIDE = '/run/notify';
const SOCKET = 'notify.sock';
/** How often it is looked for word from the container. milliseconds */
const INTERVAL = 100;

/** Where the service manager that started this runtime wants to hear that its service is ready. Source: sd_notify(3). */
const managersSocket = (): string => process.env['NOTIFY_SOCKET'] ?? '';

const notifyFolder = (root: string, id: string): string => join(stateDirectory(root, id), 'notify');

/**
 * Shows the container a socket of this runtime's in place of the service manager's, which it must not reach: a folder, into which `start` puts the
 * socket, and the variable that names it. Without a service manager nothing is changed.
 */
export function withNotifySocket(spec: OciSpec, root: string, id: string): OciSpec {
  if (!managersSocket()) return spec;
  const mount = {
    destination: INSIDE,
    source: notifyFolder(root, id),
    type: 'bind',
    options: ['bind', 'nosuid', 'noexec', 'nodev', 'ro'],
  };
  const env = [...(spec.process!.env ?? []), `NOTIFY_SOCKET=${INSIDE}/${SOCKET}`];
  return { ...spec, process: { ...spec.process!, env }, mounts: [...(spec.mounts ?? []), mount] };
}

/** The folder must be there when the container is made. */
export function makeNotifyFolder(root: string, id: string): void {
  if (managersSocket()) mkdirSync(notifyFolder(root, id), { mode: 0o755 });
}

/** What a container says to the service manager, on its way. */
export interface NotifySocket {
  /** Reads what has come, and passes on that the service is ready, with the process that it is from now on. Whether it was. */
  passOn(mainPid: number): boolean;
  close(): void;
}

/** Opens the container's socket, before its program begins; `undefined` without a service manager. @throws SyscallError */
export function openNotifySocket(root: string, id: string): NotifySocket | undefined {
  if (!managersSocket()) return undefined;
  const path = join(notifyFolder(root, id), SOCKET);
  const socket = bindSocket(path, 'NOTIFY_SOCKET', SOCK.DGRAM | SOCK.NONBLOCK);
  chmodSync(path, 0o777); // whoever the container's user is
  return {
    passOn(mainPid) {
      for (let said = receive(socket); said !== undefined; said = receive(socket)) {
        const ready = said.split('\n').find((line) => line.startsWith('READY='));
        if (ready === undefined) continue;
        tellManager(ready, mainPid);
        return true;
      }
      return false;
    },
    close() {
      closeSync(socket);
      remove(path);
    },
  };
}

/** Waits until the container is ready, or has ended. */
export function awaitReady(socket: NotifySocket, state: ContainerState): void {
  while (!socket.passOn(state.pid) && isInitAlive(state)) sleep(INTERVAL);
}

/** The same for a runtime that stays, beside what else it does. Returns what ends it. */
export function watchReady(socket: NotifySocket): () => void {
  const timer = setInterval(() => {
    if (socket.passOn(process.pid)) clearInterval(timer);
  }, INTERVAL);
  return () => {
    clearInterval(timer);
    socket.passOn(process.pid); // said just before its end
  };
}

function receive(socket: number): string | undefined {
  const buffer = Buffer.alloc(4096);
  try {
    const length = checked('recv', Number(c_recv(socket, buffer, buffer.length, 0)));
    return buffer.toString('utf8', 0, length);
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return undefined;
    throw error;
  }
}

/** READY, then MAINPID, then a barrier: a pipe whose end the manager closes when it has read both, so that this runtime may end. */
function tellManager(ready: string, mainPid: number): void {
  const manager = connectSocket(managersSocket(), 'NOTIFY_SOCKET', SOCK.DGRAM);
  const barrier = pipe();
  try {
    writeSync(manager, `${ready}\n`);
    writeSync(manager, `MAINPID=${mainPid}\n`);
    checked('sendmsg', c_sendDescriptor(manager, barrier.write, 'BARRIER=1'), 'BARRIER=1');
    closeSync(barrier.write);
    awaitEnd(barrier.read);
  } finally {
    closeSync(barrier.read);
    closeSync(manager);
  }
}

/** Waits until nobody holds the other end of a pipe, for 30 seconds: a manager that knows no barrier may never take the message. */
function awaitEnd(read: number): void {
  const end = performance.now() + 30_000;
  const fd = openSync(`/proc/self/fd/${read}`, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    while (!isClosed(fd) && performance.now() < end) sleep(5);
  } finally {
    closeSync(fd);
  }
}

function isClosed(pipeEnd: number): boolean {
  try {
    return readSync(pipeEnd, Buffer.alloc(1)) === 0;
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return false;
    throw error;
  }
}
