import { closeSync, constants, fstatSync, statfsSync } from 'node:fs';
import { checked, dup2, setControllingTerminal, setWindowSize } from '../01-processes/index.ts';
import { fdPath, openInRoot, openTree, touchInRoot } from '../02-namespaces/index.ts';
import { makedev } from './devices.ts';
import { attach, using } from './attach.ts';
import { c_ioctl, c_sendDescriptor, c_socketpair } from './syscalls.ts';
import { AF_UNIX, connectSocket, SOCK } from './unix-socket.ts';

const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
/** f_type of a devpts. Source: statfs(2). */
const DEVPTS_SUPER_MAGIC = 0x1cd1;

/** Both ends of a terminal, as descriptors. */
export interface Console {
  master: number;
  slave: number;
}

/**
 * Opens a terminal of the container's own devpts: its name, /dev/pts/N, exists inside and nowhere else. The slave is opened by the
 * master, not by its path, which the image could have replaced (TIOCGPTPEER in ioctl_tty(2)).
 * @throws Error when the container has no devpts at /dev/pts
 */
export function openConsole(rootFd: number, size?: { height: number; width: number }): Console {
  const flags = constants.O_RDWR | constants.O_NOCTTY;
  const master = openInRoot(rootFd, '/dev/pts/ptmx', { flags, noSymlinks: true });
  try {
    const { type } = statfsSync(fdPath(master));
    if (type !== DEVPTS_SUPER_MAGIC || fstatSync(master).rdev !== makedev(5, 2))
      throw new Error('/dev/pts/ptmx is no terminal multiplexer');
    checked('ioctl', c_ioctl(master, TIOCSPTLCK, 'void *', new Int32Array([0])), 'TIOCSPTLCK');
    const slave = checked('ioctl', c_ioctl(master, TIOCGPTPEER, 'int', flags | SOCK.CLOEXEC), 'TIOCGPTPEER');
    if (size) setWindowSize(master, { rows: size.height, cols: size.width });
    return { master, slave };
  } catch (error) {
    closeSync(master);
    throw error;
  }
}

/**
 * Shows the terminal as /dev/console too. What is bound is the slave that this process holds, not what /dev/pts/0 is called by now, and
 * it lands in /dev: a link of the image's would have it cover any file of the kernel's (CVE-2025-52565).
 * @throws SyscallError ELOOP when /dev is a link
 */
export function bindConsole(rootFd: number, slave: number): void {
  using(openInRoot(rootFd, '/dev', { noSymlinks: true }), (dev) =>
    using(touchInRoot(dev, 'console'), (target) =>
      using(openTree(fdPath(slave)), (tree) => attach(tree, target)),
    ),
  );
}

/** Makes the slave this session's terminal and standard input, output and error. The process must lead a session. */
export function attachConsole(slave: number): void {
  setControllingTerminal(slave);
  for (const fd of [0, 1, 2]) dup2(slave, fd);
  closeSync(slave);
}

/**
 * Connects to the socket of whoever is to hold the terminal. To be called before any namespace is entered.
 * @throws as `connectSocket`
 */
export const connectConsoleSocket = (path: string): number => connectSocket(path, '--console-socket');

/** Both ends of a socket, for the case that this runtime holds the terminal itself. */
export function consoleSocketPair(): [number, number] {
  const ends = new Int32Array(2);
  checked('socketpair', c_socketpair(AF_UNIX, SOCK.STREAM | SOCK.CLOEXEC, 0, ends));
  return [ends[0]!, ends[1]!];
}

/** Hands the master over, and lets go of it: from here on the other side holds the terminal. SCM_RIGHTS in unix(7). */
export function sendTerminal(socket: number, master: number): void {
  checked('sendmsg', c_sendDescriptor(socket, master, '/dev/ptmx'), 'the terminal to the console socket');
  closeSync(master);
  closeSync(socket);
}
