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
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CannotCheck,
  closeQuietly,
  dup2,
  expectSame,
  expectThat,
  NotImplemented,
  pipe,
  readCapabilities,
  readStat,
  readStatus,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { O_PATH, type NamespaceKind } from '../02-namespaces/index.ts';
import { readIdentity } from './identity.ts';
import { runInit } from './init.ts';
import { end, launch } from './launch.ts';
import { compileSeccomp } from './seccomp.ts';
import { OCI_VERSION, type OciSeccomp, type OciSpec } from './spec.ts';

const WAITS = `if (fifo !== undefined) {
  calls.push({ name: 'read', args: [fifo, STACK, 1], complaint });
  calls.push({ name: 'close', args: [fifo], complaint });
}`;
const SETS_FILTER = `if (filter?.right) {
  const [header, data] = capsetWords(filter.right.there);
  calls.push({ name: 'capset', args: [place(header), place(data)], complaint: refused });
}
if (filter) {
  const program = place(filterProgram(filter.instructions.length, place(filter.instructions)));
  calls.push({ name: 'seccomp', args: [SET_MODE_FILTER, filter.flags, program], complaint: refused });
}`;

export const waiting: Exercise = {
  gap: '05.4',
  task: 'List the system calls that are made between this runtime and the program: the wait for `start` first, the filter last.',
  hints: [
    'A fifo that is open at both ends has no end: read(2) returns when there is a byte, and somebody writes one tomorrow. Afterwards nothing of ours may be left for the program, and what the filter forbids is forbidden from then on.',
    'Each call is {name, args, complaint}. STACK is where read(2) may write to. place(bytes) gives the address of bytes for a call: of what capsetWords gives, of the instructions, and of filterProgram(length, address). read(2), capset(2), seccomp(2).',
    'if fifo: read [fifo, STACK, 1], close [fifo]. if filter?.right: [header, data] = capsetWords(filter.right.there); capset [place(header), place(data)]. if filter: program = place(filterProgram(filter.instructions.length, place(filter.instructions))); seccomp [SET_MODE_FILTER, filter.flags, program].',
  ],
  check: checkLastCalls,
  wrong: [
    {
      mistake: 'does not wait',
      code: `if (fifo !== undefined) calls.push({ name: 'close', args: [fifo], complaint });
${SETS_FILTER}`,
      diagnosis: 'read(2)',
    },
    {
      mistake: 'leaves the fifo to the program',
      code: `if (fifo !== undefined) calls.push({ name: 'read', args: [fifo, STACK, 1], complaint });
${SETS_FILTER}`,
      diagnosis: 'the runtime’s state',
    },
    {
      mistake: 'sets the filter first',
      code: `${SETS_FILTER}
${WAITS}`,
      diagnosis: 'the filter comes last',
    },
    {
      mistake: 'keeps the right to set a filter',
      code: `${WAITS}
${SETS_FILTER.slice(SETS_FILTER.indexOf('if (filter) {'))}`,
      diagnosis: 'capset(2)',
    },
    {
      mistake: 'forgets the filter',
      code: WAITS,
      diagnosis: 'seccomp(2)',
    },
  ],
};

async function checkLastCalls(t: Trial): Promise<void> {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (!busybox) throw new CannotCheck('there is no busybox', 'apt-get install busybox-static');
  const [folder, root] = [t.folder(), t.folder()];
  const seconds = String(t.number(1000, 9999));
  mkdirSync(join(root, 'bin'));
  copyFileSync(busybox, join(root, 'bin/busybox'));
  const path = join(folder, 'exec.fifo');
  execFileSync('mkfifo', [path]);
  const fifo = openSync(path, 'r+');
  const proc = openSync('/proc', O_PATH);
  const said = pipe();
  t.cleanup(() => [fifo, proc, said.read, said.write].forEach(closeQuietly));
  // A filter that does not let pass what the trampoline itself has to do before; and no no_new_privs, so that it takes a right to set it.
  const seccomp: OciSeccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['read', 'close', 'capset'], action: 'SCMP_ACT_ERRNO' }],
  };
  const program = { cwd: '/', args: ['/bin/busybox', 'sleep', seconds], env: [], user: { uid: 0, gid: 0 } };
  // The image has no /proc, and gets none.
  const spec: OciSpec = {
    ociVersion: OCI_VERSION,
    process: program,
    root: { path: root },
    mounts: [],
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }], seccomp },
  };
  const [id, created, owner] = [t.word(), new Date().toISOString(), 'root'];
  const none = { pid: 0, startTime: 0, cgroup: '' };
  const state = { version: 1 as const, id, bundle: folder, rootfs: root, created, owner, spec, ...none };
  const identity = readIdentity(program);
  const options = {
    filter: compileSeccomp(seccomp),
    consoleSocket: undefined,
    preserve: [],
    personality: undefined,
    sources: new Map(),
    noPivot: false,
    noNewKeyring: true,
  };
  const pid = launchOrSay(
    { make: new Set<NamespaceKind>(['mnt', 'pid']), join: {} },
    (channel) => {
      dup2(said.write, 2);
      return runInit({ state, process: program, identity, fifo, proc, ...options }, channel);
    },
    { born: () => undefined, ready: () => undefined },
  );
  t.cleanup(() => end(pid));
  closeSync(said.write);

  const runs = (): boolean => readStat(pid)?.comm === 'busybox';
  const ended = (): boolean => (readStat(pid)?.state ?? 'Z') === 'Z';
  await eventually(() => runs() || ended(), 600);
  if (ended()) throw notThere(said.read);
  expectThat(
    !runs(),
    'a process that waits before `start`',
    `sleep ${seconds} runs`,
    'Nothing has made it wait: the first call is read(2) from the fifo, of one byte.',
  );
  writeSync(fifo, '0');
  closeSync(fifo);
  await eventually(() => runs() || ended(), 1500);
  if (ended()) throw notThere(said.read);
  expectThat(
    runs(),
    `the program sleep ${seconds}`,
    'it still waits, although `start` has written',
    'One byte is all that `start` writes: read(2) as many.',
  );
  expectSame(
    'the program’s descriptors',
    ['0', '1', '2'],
    readdirSync(`/proc/${pid}/fd`).sort(),
    'The program has a way to a file of the runtime’s state on the host: close(2) it once the byte is read.',
  );
  expectSame(
    'Seccomp',
    2,
    readStatus(pid)?.seccomp,
    'Nothing has set the filter: the last call is seccomp(2), with SET_MODE_FILTER, the flags and the address of a struct sock_fprog.',
  );
  expectSame(
    'CapInh',
    [],
    readCapabilities(pid)?.inheritable,
    'What was inheritable for the filter’s sake has stayed: give it back by capset(2), before the filter is set.',
  );
}

function launchOrSay(...args: Parameters<typeof launch>): number {
  try {
    return launch(...args);
  } catch (error) {
    const gap = '05.4 lastCalls';
    if (String(error).includes(`not implemented yet: ${gap}`)) throw new NotImplemented(gap);
    throw error;
  }
}

/** What it has said, or not, who ended before its time. */
function notThere(said: number): Wrong {
  const bytes = Buffer.alloc(1000);
  const message = bytes.toString('utf8', 0, readSync(said, bytes));
  return new Wrong({
    expected: 'a process that waits, and then becomes the program',
    observed: message.trim() || 'it has ended',
    cause:
      'A call has failed. From seccomp(2) on the kernel refuses what the filter forbids, here read(2), close(2) and capset(2): the filter comes last.',
  });
}

/** Waits until `holds`, at most so many milliseconds. */
async function eventually(holds: () => boolean, milliseconds: number): Promise<void> {
  for (const late = Date.now() + milliseconds; !holds() && Date.now() < late;) await sleep(10);
}
