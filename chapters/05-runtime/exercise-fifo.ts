import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  writeSync,
  constants,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CannotCheck,
  closeQuietly,
  expectSame,
  expectThat,
  isErrno,
  NotImplemented,
  pipe,
  readCmdline,
  readStat,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { O_PATH, type NamespaceKind } from '../02-namespaces/index.ts';
import { readIdentity } from './identity.ts';
import { runInit } from './init.ts';
import { end, launch } from './launch.ts';
import { OCI_VERSION, type OciSpec } from './spec.ts';

export const waiting: Exercise = {
  gap: '05.4',
  task: 'Wait, without anyone who keeps count, until `start` lets this process become the container’s program.',
  hints: [
    'A fifo has two ends, and open(2) of one returns when somebody opens the other. So a process can wait for a command that comes tomorrow.',
    'The fifo is held as a descriptor (O_PATH), which cannot be written to; a path leads from it to the file: self/fd/N in /proc. But whose /proc? `proc` is the host’s, and openAt begins there. openat(2), fifo(7).',
    'fd = openAt(proc, `self/fd/${fifo}`, O_WRONLY | O_CLOEXEC); writeSync(fd, "0"); closeSync(fd).',
  ],
  check: checkWaitForStart,
  wrong: [
    {
      mistake: 'opens both ends',
      code: `const fd = openAt(proc, \`self/fd/\${fifo}\`, 2 | O_CLOEXEC);
writeSync(fd, '0');
closeSync(fd);`,
      diagnosis: 'for writing alone',
    },
    {
      mistake: 'goes by the container’s own /proc',
      code: `const fd = openAt(-100, \`/proc/self/fd/\${fifo}\`, O_WRONLY | O_CLOEXEC); // AT_FDCWD
writeSync(fd, '0');
closeSync(fd);`,
      diagnosis: 'the host’s /proc',
    },
    {
      mistake: 'waits at the wrong end',
      code: `const fd = openAt(proc, \`self/fd/\${fifo}\`, O_CLOEXEC);
closeSync(fd);`,
      diagnosis: 'the other end',
    },
    {
      mistake: 'says nothing',
      code: `closeSync(openAt(proc, \`self/fd/\${fifo}\`, O_WRONLY | O_CLOEXEC));`,
      diagnosis: 'one byte',
    },
    {
      mistake: 'leaves the fifo to the program',
      code: `writeSync(openAt(proc, \`self/fd/\${fifo}\`, O_WRONLY), '0');`,
      diagnosis: 'the runtime’s state',
    },
  ],
};

async function checkWaitForStart(t: Trial): Promise<void> {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (!busybox) throw new CannotCheck('there is no busybox', 'apt-get install busybox-static');
  const [folder, root] = [t.folder(), t.folder()];
  const seconds = String(t.number(1000, 9999));
  mkdirSync(join(root, 'bin'));
  copyFileSync(busybox, join(root, 'bin/busybox'));
  const path = join(folder, 'exec.fifo');
  execFileSync('mkfifo', [path]);
  const fifo = openSync(path, O_PATH);
  const proc = openSync('/proc', O_PATH);
  const said = pipe();
  t.cleanup(() => [fifo, proc, said.read, said.write].forEach(closeQuietly));
  const program = { cwd: '/', args: ['/bin/busybox', 'sleep', seconds], env: [], user: { uid: 0, gid: 0 } };
  // The image has no /proc, and gets none.
  const spec: OciSpec = {
    ociVersion: OCI_VERSION,
    process: program,
    root: { path: root },
    mounts: [],
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }] },
  };
  const [id, created, owner] = [t.word(), new Date().toISOString(), 'root'];
  const none = { pid: 0, startTime: 0, cgroup: '' };
  const state = { version: 1 as const, id, bundle: folder, rootfs: root, created, owner, spec, ...none };
  const identity = readIdentity(program);
  const options = {
    filter: undefined,
    consoleSocket: undefined,
    preserve: [],
    personality: undefined,
    sources: new Map(),
    noPivot: false,
    noNewKeyring: true,
  };
  const pid = launch(
    { make: new Set<NamespaceKind>(['mnt', 'pid']), join: {} },
    (channel) => {
      try {
        return runInit({ state, process: program, identity, fifo, proc, ...options }, channel);
      } catch (error) {
        writeSync(said.write, String(error));
        throw error;
      }
    },
    { born: () => undefined, ready: () => undefined },
  );
  t.cleanup(() => end(pid));
  closeSync(said.write);

  const words = (): string => readCmdline(pid)?.join(' ') ?? '';
  const runs = (): boolean => words().endsWith(`sleep ${seconds}`);
  const ended = (): boolean => (readStat(pid)?.state ?? 'Z') === 'Z';
  await eventually(() => runs() || ended(), 600);
  if (ended()) {
    const bytes = Buffer.alloc(1000);
    const message = bytes.toString('utf8', 0, readSync(said.read, bytes));
    const gap = '05.4 waitForStart';
    if (message.includes(`not implemented yet: ${gap}`)) throw new NotImplemented(gap);
    throw new Wrong({
      expected: 'a process that waits',
      observed: message || 'it has ended',
      cause:
        'The container may have no /proc, or one of its own making: begin at the host’s /proc, by `proc`.',
    });
  }
  expectThat(
    !runs(),
    'a process that waits before `start`',
    words(),
    'Whoever opens both ends of a fifo need not wait for anyone: open it for writing alone.',
  );
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  t.cleanup(() => closeSync(reader));
  const bytes = Buffer.alloc(10);
  let count = 0;
  await eventually(() => (count ||= readIfReady(reader, bytes)) > 0 && runs(), 1500);
  expectThat(
    runs(),
    `the program /bin/busybox sleep ${seconds}`,
    words(),
    'It still waits, although `start` has opened the fifo for reading: wait at the other end, by opening it for writing.',
  );
  expectSame(
    'what `start` reads',
    '0',
    bytes.toString('utf8', 0, count),
    'one byte says to `start` that the process goes on; an end without it, that the process has ended.',
  );
  expectSame(
    'the program’s descriptors',
    ['0', '1', '2'],
    readdirSync(`/proc/${pid}/fd`).sort(),
    'The program has a way to a file of the runtime’s state on the host: O_CLOEXEC, and close it.',
  );
}

/** How many bytes there were to read at once. */
function readIfReady(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into);
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return 0;
    throw error;
  }
}

/** Waits until `holds`, at most so many milliseconds. */
async function eventually(holds: () => boolean, milliseconds: number): Promise<void> {
  for (const late = Date.now() + milliseconds; !holds() && Date.now() < late;) await sleep(10);
}
