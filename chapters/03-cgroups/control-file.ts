import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { ifAlive, isErrno, SyscallError } from '../01-processes/index.ts';

/** What a file of a cgroup says, without the newline; `undefined` when the file, or the cgroup, is not there. */
export function readControl(file: string): string | undefined {
  return ifAlive(() => {
    try {
      return readFileSync(file, 'utf8').trimEnd();
    } catch (error) {
      // The kernel's word for a file of a cgroup that was removed once the file was open.
      if (isErrno(error, 'ENODEV')) return undefined;
      throw named('read', JSON.stringify(file), error);
    }
  });
}

/**
 * Writes a value to a file of a cgroup, in one write(2), which is how the kernel takes it. It opens the file for writing
 * alone: some can not be read, and none can be made.
 * @throws SyscallError that names value, file and reason: `write "-5" to "/sys/fs/cgroup/x/pids.max": EINVAL (Invalid argument)`
 */
export function writeControl(file: string, value: string): void {
  try {
    const fd = openSync(file, constants.O_WRONLY);
    try {
      writeSync(fd, value);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw named('write', `${JSON.stringify(value)} to ${JSON.stringify(file)}`, error);
  }
}

/** Lines of `name number`, as in cpu.stat and memory.stat; `undefined` when the file is not there. */
export function readKeyed(file: string): Record<string, number> | undefined {
  const text = readControl(file);
  return text === undefined
    ? undefined
    : Object.fromEntries(
        text
          .split('\n')
          .filter(Boolean)
          .map((line) => line.split(' '))
          .map(([key, value]) => [key!, Number(value)]),
      );
}

/** A file with one number, Infinity for `max`; `undefined` when it is not there. */
export function readNumber(file: string): number | undefined {
  const text = readControl(file);
  return text === undefined ? undefined : text === 'max' ? Infinity : Number(text);
}

function named(syscall: string, subject: string, error: unknown): Error {
  const { errno } = error as NodeJS.ErrnoException;
  return errno === undefined ? (error as Error) : new SyscallError(syscall, -errno, subject);
}
