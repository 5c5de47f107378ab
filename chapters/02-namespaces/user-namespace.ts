import { closeSync, readSync, writeSync } from 'node:fs';
import { closeQuietly, kill, pipe, SIGNALS, waitpid } from '../01-processes/index.ts';
import { clone } from './clone.ts';
import { CLONE } from './namespaces.ts';
import { setgid, setuid } from './user.ts';

/**
 * Makes a child in a new user namespace, and in those others that `flags` name: the user namespace owns them, so that its root may do in them
 * what root may. `map` is called in the parent, to write the ids of the child's namespace. Then the child becomes root there and runs
 * `child`. Its id is returned, and the caller waits for it. No rights are needed, where the machine allows it (see user_namespaces(7)).
 * @throws SyscallError as clone; what `map` throws: the child has then ended
 */
export function cloneInUserNamespace(
  flags: number,
  map: (pid: number) => void,
  child: () => number | void,
): number {
  const go = pipe();
  try {
    const pid = clone(flags | CLONE.NEWUSER, () => {
      closeSync(go.write);
      // Before its ids are mapped the child is nobody, and what it made would belong to nobody.
      if (readSync(go.read, Buffer.alloc(1)) === 0) return 1;
      closeSync(go.read);
      setgid(0);
      setuid(0);
      return child();
    });
    try {
      map(pid);
    } catch (error) {
      kill(pid, SIGNALS['SIGKILL']!);
      waitpid(pid);
      throw error;
    }
    writeSync(go.write, 'g');
    return pid;
  } finally {
    closeQuietly(go.read);
    closeQuietly(go.write);
  }
}
