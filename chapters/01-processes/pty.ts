import { closeSync, constants, openSync, readSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { checked, isErrno } from './errors.ts';
import { c_ioctl } from './syscalls.ts';

// Requests of ioctl(2) on terminals: ioctl_tty(2), pts(4). The same numbers on x86-64 and arm64.
const TIOCSCTTY = 0x540e;
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;

/** A terminal's size, in characters. */
export interface WindowSize {
  rows: number;
  cols: number;
}

/** A pseudo-terminal: what is written at one end is read at the other, with the kernel's line discipline between. */
export interface Pty {
  /** Descriptor of the end that a terminal emulator, or a shim, holds. Closes on exec; the caller closes it. */
  master: number;
  /** Path of the end that programs take for a terminal: `/dev/pts/3`. */
  slavePath: string;
}

/**
 * Makes a pseudo-terminal. The master gives EIO when the last slave is closed: that is its end of file.
 * @param ptmx the multiplexer to open. Each mounted devpts is an instance with a `ptmx` of its own: to make a terminal
 * that exists inside a container, give the container's: `/proc/PID/root/dev/pts/ptmx`
 * Source: pts(4), devpts in the kernel's documentation.
 * @throws ENOENT or EACCES for `ptmx` (with ENOSPC at the limit of terminals); SyscallError ENOTTY if it is no multiplexer
 */
export function openPty(ptmx = '/dev/ptmx'): Pty {
  //#gap 01.4 openPty
  const master = openSync(ptmx, constants.O_RDWR | constants.O_NOCTTY);
  try {
    const unlocked = new Int32Array([0]);
    checked('ioctl', c_ioctl(master, TIOCSPTLCK, 'void *', unlocked), `TIOCSPTLCK ${JSON.stringify(ptmx)}`);
    const number = new Int32Array(1);
    checked('ioctl', c_ioctl(master, TIOCGPTN, 'void *', number), `TIOCGPTN ${JSON.stringify(ptmx)}`);
    // /dev/ptmx belongs to the instance mounted beside it, at /dev/pts; an instance's own ptmx to its own folder.
    const beside = dirname(ptmx);
    const instance = basename(beside) === 'pts' ? beside : join(beside, 'pts');
    return { master, slavePath: join(instance, String(number[0])) };
  } catch (error) {
    closeSync(master);
    throw error;
  }
  //#end
}

/**
 * Makes a terminal the controlling terminal of this process's session: from here on Ctrl-C there is SIGINT for the
 * session's foreground group, and hanging up is SIGHUP.
 * The process must lead a session (`setsid`) that has no terminal yet, and nobody else's session may have this one.
 * Source: TIOCSCTTY in ioctl_tty(2), credentials(7).
 * @throws SyscallError EPERM when one of these does not hold
 */
export function setControllingTerminal(fd: number): void {
  checked('ioctl', c_ioctl(fd, TIOCSCTTY, 'int', 0), `TIOCSCTTY fd ${fd}`);
}

/**
 * Tells a terminal how large it is; the foreground group gets SIGWINCH if that is new. Either end will do.
 * Source: TIOCSWINSZ(2const).
 * @throws RangeError beyond 65535; SyscallError ENOTTY when `fd` is no terminal
 */
export function setWindowSize(fd: number, { rows, cols }: WindowSize): void {
  for (const [name, value] of Object.entries({ rows, cols }))
    if (!Number.isInteger(value) || value < 0 || value > 65535)
      throw new RangeError(`setWindowSize: ${name} is ${value}: give a whole number from 0 to 65535`);
  const size = new Uint16Array([rows, cols, 0, 0]); // struct winsize; the last two are pixels, which nobody uses
  checked('ioctl', c_ioctl(fd, TIOCSWINSZ, 'void *', size), `TIOCSWINSZ fd ${fd}`);
}

/** The size that a terminal was told last; 0 by 0 at first. @throws SyscallError ENOTTY when `fd` is no terminal */
export function getWindowSize(fd: number): WindowSize {
  const size = new Uint16Array(4);
  checked('ioctl', c_ioctl(fd, TIOCGWINSZ, 'void *', size), `TIOCGWINSZ fd ${fd}`);
  return { rows: size[0]!, cols: size[1]! };
}

/**
 * What a terminal still holds when the last program has left it. To be asked for where Node says that a master's stream has ended, and before
 * it is destroyed: at a hang-up Node takes a read that did not fill its buffer for the last one, but a read of a master never gives more than
 * 4095 bytes (the line discipline's own buffer), however much waits behind them. `master` must not block, or have no slave that is open.
 */
export function restOfTerminal(master: number): Buffer {
  const pieces: Buffer[] = [];
  try {
    for (let count = 1; count > 0;) {
      const piece = Buffer.allocUnsafe(4096);
      count = readSync(master, piece);
      pieces.push(piece.subarray(0, count));
    }
  } catch (error) {
    if (!isErrno(error, 'EIO', 'EAGAIN')) throw error; // nobody has it open; or somebody has again
  }
  return Buffer.concat(pieces);
}
