import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { openContainer, signalInit, type Container } from './container.ts';
import type { Context } from './context.ts';
import { runHooks } from './hooks.ts';
import { awaitReady, openNotifySocket } from './notify.ts';
import { fifoPath, ociState } from './state.ts';

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
    letGo(context, container);
    poststart(context, container);
    if (ready) awaitReady(ready, container.state);
  } finally {
    ready?.close();
  }
}

/** Writes into the fifo, upon which the first process goes on. @throws Error when it has ended, or somebody else has been faster */
export function letGo({ root }: Context, { state }: Container): void {
  const path = fifoPath(root, state.id);
  try {
    // Only the first process has it open for reading: without one, opening it fails.
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      writeSync(fd, '0');
    } finally {
      closeSync(fd);
    }
    unlinkSync(path);
  } catch (error) {
    if (isErrno(error, 'ENXIO', 'EPIPE')) throw new Error('cannot start a container that has stopped');
    if (isErrno(error, 'ENOENT')) throw new Error('cannot start an already running container');
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
