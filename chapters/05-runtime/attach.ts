import { closeSync, readlinkSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { fdPath } from '../02-namespaces/index.ts';
import { c_move_mount } from './syscalls.ts';

/** Runs `use` with a descriptor, and closes it whatever happens. */
export function using<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** Hangs a tree that openTree gave onto what a descriptor holds. Source: move_mount(2). @throws SyscallError */
export function attach(tree: number, target: number): void {
  checked('move_mount', c_move_mount(tree, target), `onto ${readlinkSync(fdPath(target))}`);
}
