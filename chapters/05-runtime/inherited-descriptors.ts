import { readdirSync, readlinkSync } from 'node:fs';

/** Where the descriptors begin that a program inherits beside its standard streams. Source: sd_listen_fds(3). */
export const FIRST_DESCRIPTOR = 3;

/**
 * The descriptors that this program got from its caller and that a container's program is to have: `count` of --preserve-fds, and those of
 * socket activation (LISTEN_FDS). To be called before this program opens anything.
 *
 * What Node itself opens as it starts lies in the gaps that the caller left, and must not get into a container: its event loop and its
 * wake-up pipes, of which both ends are here. All of them Node has marked close-on-exec, so nothing tells them apart but what they are.
 * @throws Error for one that the caller has not opened
 */
export function inheritedDescriptors(count: number): number[] {
  const last = FIRST_DESCRIPTOR + count + listenFds() - 1;
  if (last < FIRST_DESCRIPTOR) return [];
  const all = readdirSync('/proc/self/fd').flatMap((name) => {
    const target = targetOf(name);
    return target === undefined ? [] : [{ fd: Number(name), target }];
  });
  const isNodes = ({ fd, target }: { fd: number; target: string }): boolean =>
    /^anon_inode:\[(eventpoll|eventfd|io_uring)\]$/.test(target) ||
    (target.startsWith('pipe:') &&
      all.some((other) => other.fd !== fd && other.fd >= FIRST_DESCRIPTOR && other.target === target));
  const passed = all.filter((each) => !isNodes(each)).map(({ fd }) => fd);
  const wanted = Array.from({ length: last - FIRST_DESCRIPTOR + 1 }, (_, i) => FIRST_DESCRIPTOR + i);
  const missing = wanted.find((fd) => !passed.includes(fd));
  if (missing !== undefined)
    throw new Error(
      `--preserve-fds or LISTEN_FDS: descriptor ${missing} of ${FIRST_DESCRIPTOR} to ${last} is not open`,
    );
  return wanted;
}

/** How many sockets the caller passes on for the container's program; 0 if none. */
export function listenFds(): number {
  const count = Number(process.env['LISTEN_FDS']);
  return Number.isInteger(count) && count > 0 ? count : 0;
}

/** The directory that was just listed has closed its own. */
function targetOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}
