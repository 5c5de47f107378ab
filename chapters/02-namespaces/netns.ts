import { closeSync, openSync } from 'node:fs';
import { CLONE, namespacePath, setns } from './namespaces.ts';
import { runTool } from './tool.ts';

/** Whose network namespace is meant: a process's, or one given by path (`/proc/PID/ns/net`, a pin, `/run/netns/NAME`). */
export type NetworkTarget = { pid: number } | { netnsPath: string };

/** The path by which `target` is joined. */
export function netnsPathOf(target: NetworkTarget): string {
  return 'pid' in target ? namespacePath(target.pid, 'net') : target.netnsPath;
}

/**
 * Runs `fn` in another network namespace, and comes back, also when it throws. What it opens and the programs that it starts
 * are of that namespace, and stay so. `fn` must not be asynchronous: the thread serves others meanwhile. (For the same reason not
 * `net.connect` nor `listen`: Node makes the socket later, at home again.)
 * Source: setns(2).
 * @throws ENOENT when the path is not there; SyscallError EPERM, or EINVAL where it is no network namespace; what `fn` throws
 */
export function withNetworkNamespace<T>(path: string, fn: () => T): T {
  //#gap 02.4 withNetworkNamespace
  const home = openSync(namespacePath('self', 'net'), 'r');
  try {
    const there = openSync(path, 'r');
    try {
      setns(there, CLONE.NEWNET);
    } finally {
      closeSync(there);
    }
    try {
      const result = fn();
      if (result instanceof Promise)
        throw new TypeError('withNetworkNamespace: give a function that ends at once');
      return result;
    } finally {
      setns(home, CLONE.NEWNET);
    }
  } finally {
    closeSync(home);
  }
  //#end
}

/** Switches the loopback interface on. In a new network namespace it is there, and down: 127.0.0.1 does not answer. */
export function bringUpLoopback(target: NetworkTarget): void {
  withNetworkNamespace(netnsPathOf(target), () => runTool('ip', ['link', 'set', 'dev', 'lo', 'up']));
}
