import type { User } from './passwd.ts';

/** A command that is, or is to be, run in a running container. Ends with the daemon that made it, as Docker's do. */
export interface Exec {
  /** 64 hexadecimal digits */
  id: string;
  containerId: string;
  command: string[];
  env: string[];
  user: string;
  workingDir: string;
  tty: boolean;
  privileged: boolean;
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  detachKeys: string;
  resolvedUser?: User;
  state: 'created' | 'running' | 'ended';
  /** On the host; 0 when it does not run. */
  pid: number;
  exitCode: number | null;
  /** Resolves when it has ended. */
  ended: Promise<void>;
  end(exitCode: number): void;
}

/** Execs are forgotten so many milliseconds after their end: clients ask for the exit code right then. */
const KEPT = 5 * 60_000;

export interface ExecStore {
  get(id: string): Exec | undefined;
  of(containerId: string): Exec[];
  add(exec: Omit<Exec, 'ended' | 'end' | 'state' | 'pid' | 'exitCode'>): Exec;
  /** Those of a container that has ended. */
  forget(containerId: string): void;
}

export function openExecStore(): ExecStore {
  const execs = new Map<string, Exec>();
  return {
    get: (id) => execs.get(id),
    of: (containerId) => [...execs.values()].filter((exec) => exec.containerId === containerId),
    add: (fields) => {
      let resolve = (): void => undefined;
      const ended = new Promise<void>((done) => (resolve = done));
      const exec: Exec = {
        ...fields,
        state: 'created',
        pid: 0,
        exitCode: null,
        ended,
        end: (exitCode) => {
          if (exec.state === 'ended') return;
          Object.assign(exec, { state: 'ended', pid: 0, exitCode });
          resolve();
          setTimeout(() => execs.delete(exec.id), KEPT).unref();
        },
      };
      execs.set(exec.id, exec);
      return exec;
    },
    forget: (containerId) => {
      for (const exec of execs.values()) if (exec.containerId === containerId) exec.end(137);
    },
  };
}
