import { closeSync, constants, openSync, readSync, rmSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { openContainer, signalInit, type Container } from './container.ts';
import type { Context } from './context.ts';
import { runHooks, sleep } from './hooks.ts';
import { awaitReady, openNotifySocket } from './notify.ts';
import { fifoPath, isInitAlive, ociState } from './state.ts';

/**
 * Lets a created container's program begin, and runs its poststart hooks. Called by a service manager it also waits until the program says that it is
 * ready.
 * @throws Error when it is not `created`
 */
export function startContainer(context: Context, id: string): void {
  const container = openContainer(context, id);
  const status = container.status();
  if (status === 'stopped') throw new Error('cannot start a container that has stopped');
  if (status !== 'created') throw new Error('cannot start an already running container');
  const ready = openNotifySocket(context.root, id);
  try {
    openFifo(context, container);
    poststart(context, container);
    if (ready) awaitReady(ready, container.state);
  } finally {
    ready?.close();
  }
}

/** Opens the fifo's other end, upon which the first process goes on, and waits for its word. */
export function openFifo({ root }: Context, { state }: Container): void {
  const path = fifoPath(root, state.id);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const byte = Buffer.alloc(1);
    // Never blocks for good, as an ordinary open would if the first process has just been killed.
    while (readOrNothing(fd, byte) === 0) {
      if (!isInitAlive(state)) throw new Error('cannot start a container that has stopped');
      sleep(1);
    }
  } finally {
    closeSync(fd);
  }
  rmSync(path, { force: true });
}

function readOrNothing(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into);
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return 0;
    throw error;
  }
}

/** @throws Error from a hook; then the container has been ended */
export function poststart(context: Context, container: Container): void {
  const { state } = container;
  try {
    runHooks('poststart', state.spec.hooks?.poststart, ociState(state, 'running'));
  } catch (error) {
    signalInit(state, 9);
    throw error;
  }
}
