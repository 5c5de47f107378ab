import { closeSync, readSync, writeSync } from 'node:fs';
import {
  checked,
  closeQuietly,
  dup2,
  execve,
  fork,
  isErrno,
  kill,
  pipe,
  SIGNALS,
  waitpid,
  WNOHANG,
  type WaitStatus,
} from '../01-processes/index.ts';
import type { HookKind, OciHook } from './spec.ts';
import type { OciState } from './state.ts';
import { c_memfd_create, c_strsignal } from './syscalls.ts';
import { becomeProgram } from './trampoline.ts';

/**
 * Runs hooks one after the other, each with the container's state on its standard input, and waits for each. Works in the runtime and, for
 * createContainer and startContainer, in the container's own process.
 * Source: runtime-spec, config.md, "POSIX-platform Hooks".
 * @throws Error naming the hook that failed, with what it printed; those after it are not run
 */
export function runHooks(kind: HookKind, hooks: readonly OciHook[] | undefined, state: OciState): void {
  (hooks ?? []).forEach((hook, i) => {
    const { status, output } = runHook(hook, JSON.stringify(state), kind === 'startContainer');
    if (status === 'timeout')
      throw new HookError(kind, i, `${hook.path} did not end in ${hook.timeout} seconds`);
    if (status.kind === 'exited' && status.code === 0) return;
    throw new HookError(kind, i, `${ending(status)}, output: ${output.trim() || 'none'}`);
  });
}

/** Both in the words of runc 1.1, and in those of 1.2, which say the kind. */
class HookError extends Error {
  constructor(kind: HookKind, index: number, why: string) {
    super(`error running hook: error running ${kind} hook #${index}: ${why}`);
  }
}

/** How a hook ended, as Go says it. */
function ending(status: WaitStatus): string {
  if (status.kind === 'exited') return `exit status ${status.code}`;
  return status.kind === 'signaled' ? `signal: ${c_strsignal(status.signal).toLowerCase()}` : status.kind;
}

function runHook(
  hook: OciHook,
  state: string,
  ofImage: boolean,
): { status: WaitStatus | 'timeout'; output: string } {
  const input = pipe();
  // A file in memory, not a pipe: a hook may leave a daemon behind that keeps it open.
  const output = checked('memfd_create', c_memfd_create('hook', MFD_CLOEXEC));
  try {
    const pid = fork(() => {
      dup2(input.read, 0);
      dup2(output, 1);
      dup2(output, 2);
      closeSync(input.write);
      const argv = hook.args?.length ? hook.args : [hook.path];
      // The image's own file may be a trap for the program that runs now; the host's is not.
      const env = hook.env ?? [];
      if (ofImage) becomeProgram({ executable: hook.path, argv, env });
      execve(hook.path, argv, env);
    });
    closeSync(input.read);
    writeUnlessClosed(input.write, state);
    closeSync(input.write);
    const status = waitAtMost(pid, hook.timeout);
    return { status, output: readAll(output) };
  } finally {
    closeQuietly(output);
  }
}

const MFD_CLOEXEC = 1;

function writeUnlessClosed(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch (error) {
    if (!isErrno(error, 'EPIPE')) throw error; // many hooks do not read it
  }
}

function waitAtMost(pid: number, seconds: number | undefined): WaitStatus | 'timeout' {
  if (seconds === undefined) return waitpid(pid);
  for (let waited = 0; waited < seconds * 1000; waited += 5) {
    const status = waitpid(pid, WNOHANG);
    if (status) return status;
    sleep(5);
  }
  kill(pid, SIGNALS['SIGKILL']!);
  waitpid(pid);
  return 'timeout';
}

/** Stands still, in milliseconds; a forked child has no event loop that it could wait in. */
export function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function readAll(fd: number): string {
  const text = Buffer.alloc(4096);
  return text.subarray(0, readSync(fd, text, 0, text.length, 0)).toString();
}
