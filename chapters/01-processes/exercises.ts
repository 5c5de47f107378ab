import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { isErrno } from './errors.ts';
import { CannotCheck, expectSame, expectThat, Wrong, type Exercise, type Trial } from './exercise.ts';
import { fork, waitpid } from './fork.ts';
import { DOCKER_CAPABILITIES } from './capability-names.ts';
import { readCapabilities, setCapabilities } from './capabilities.ts';
import { parseStat } from './proc.ts';
import { openPty } from './pty.ts';
import { c_exit, c_getpid } from './syscalls.ts';

export const exercises: readonly Exercise[] = [
  {
    gap: '01.1',
    task: 'Take a line of /proc/PID/stat apart, whatever the process is called.',
    hints: [
      'The second field is the program’s name in brackets. Anyone may name a program: with spaces, with brackets, with digits.',
      'proc_pid_stat(5) numbers the fields from 1. After the name there are only single words, so only the name is difficult.',
      'Find the first "(" with indexOf and the last ")" with lastIndexOf; split what follows ") " at spaces: its word 0 is field 3.',
    ],
    check: checkParseStat,
    wrong: [
      {
        mistake: 'splits the line at spaces',
        code: `const f = line.split(' ');
const n = (number: number): number => Number(f[number - 1]);
return { pid: n(1), comm: f[1]!.slice(1, -1), state: f[2]!, ppid: n(4), pgrp: n(5), session: n(6), ttyNr: n(7), tpgid: n(8), utime: n(14), stime: n(15), nice: n(19), threads: n(20), startTime: n(22), vsize: n(23), rss: n(24) };`,
        diagnosis: 'the name may hold spaces',
      },
      {
        mistake: 'ends the name at the first closing bracket',
        code: `const close = line.indexOf(')');
const f = line.slice(close + 2).split(' ');
const n = (number: number): number => Number(f[number - 3]);
return { pid: parseInt(line), comm: line.slice(line.indexOf('(') + 1, close), state: f[0]!, ppid: n(4), pgrp: n(5), session: n(6), ttyNr: n(7), tpgid: n(8), utime: n(14), stime: n(15), nice: n(19), threads: n(20), startTime: n(22), vsize: n(23), rss: n(24) };`,
        diagnosis: 'ends at the last one',
      },
      {
        mistake: 'is one field off',
        code: `const close = line.lastIndexOf(')');
const f = line.slice(close + 2).split(' ');
const n = (number: number): number => Number(f[number - 2]);
return { pid: parseInt(line), comm: line.slice(line.indexOf('(') + 1, close), state: f[0]!, ppid: n(4), pgrp: n(5), session: n(6), ttyNr: n(7), tpgid: n(8), utime: n(14), stime: n(15), nice: n(19), threads: n(20), startTime: n(22), vsize: n(23), rss: n(24) };`,
        diagnosis: 'counts fields from 1',
      },
    ],
  },
  {
    gap: '01.2',
    task: 'Make a process with fork(2), in which the child function runs, and which ends with the status that it returns.',
    hints: [
      'fork returns twice: in the parent with the child’s id, in the child with 0. The child must never return to whoever called your function.',
      'V8 asks the kernel not to copy its heap into children: MADV_DONTFORK in madvise(2). MADV_DOFORK takes that back.',
      'c_madvise(0, EVERY_ADDRESS, MADV_DOFORK); const pid = checked(…, c_fork()); the parent returns pid; the child leaves by c_exit(runChild(child)).',
    ],
    check: checkFork,
    wrong: [
      {
        mistake: 'forgot MADV_DOFORK',
        code: `const pid = checked('fork', c_fork());
if (pid > 0) return pid;
return c_exit(runChild(child));`,
        diagnosis: 'V8’s heap was not copied',
      },
      {
        mistake: 'the child goes on as a second parent',
        code: `c_madvise(0, EVERY_ADDRESS, MADV_DOFORK);
const pid = checked('fork', c_fork());
if (pid === 0) runChild(child);
return pid;`,
        diagnosis: 'came back from fork()',
      },
      {
        mistake: 'drops the status',
        code: `c_madvise(0, EVERY_ADDRESS, MADV_DOFORK);
const pid = checked('fork', c_fork());
if (pid > 0) return pid;
runChild(child);
return c_exit(0);`,
        diagnosis: 'what the child function returns',
      },
    ],
  },
  {
    gap: '01.3',
    task: 'Set capability sets with capset(2); a set that is not given stays as it is.',
    hints: [
      'The call takes all three sets at once. To leave one alone, first ask what it is.',
      'capset(2) describes the structures. There are more than 32 capabilities, so version 3 has two structs of three words: effective, permitted, inheritable.',
      'c_capget(header, data) into six words; for set i: data[i] = the mask’s low 32 bits, data[i + 3] = the high ones; then c_capset(header, data).',
    ],
    check: checkSetCapabilities,
    wrong: [
      {
        mistake: 'writes the low 32 bits alone',
        code: `const header = new Uint32Array([VERSION_3, 0]);
const data = new Uint32Array(6);
checked('capget', c_capget(header, data));
[sets.effective, sets.permitted, sets.inheritable].forEach((names, word) => {
  if (names) data[word] = Number(maskOf(names) & 0xffffffffn);
});
checked('capset', c_capset(header, data));`,
        diagnosis: 'beyond 32',
      },
      {
        mistake: 'does not ask for the sets that stay',
        code: `const header = new Uint32Array([VERSION_3, 0]);
const data = new Uint32Array(6);
[sets.effective, sets.permitted, sets.inheritable].forEach((names, word) => {
  const mask = maskOf(names ?? sets.effective ?? []);
  data[word] = Number(mask & 0xffffffffn);
  data[word + 3] = Number(mask >> 32n);
});
checked('capset', c_capset(header, data));`,
        diagnosis: 'was not given',
      },
      {
        mistake: 'has effective and permitted the wrong way round',
        code: `const header = new Uint32Array([VERSION_3, 0]);
const data = new Uint32Array(6);
checked('capget', c_capget(header, data));
[sets.permitted, sets.effective, sets.inheritable].forEach((names, word) => {
  if (!names) return;
  data[word] = Number(maskOf(names) & 0xffffffffn);
  data[word + 3] = Number(maskOf(names) >> 32n);
});
checked('capset', c_capset(header, data));`,
        diagnosis: 'in the order effective, permitted, inheritable',
      },
    ],
  },
  {
    gap: '01.4',
    task: 'Make a pseudo-terminal: open a multiplexer, unlock the slave, and say where the slave is.',
    hints: [
      'Opening a ptmx makes a new pair. Its slave is a file in the same devpts, named by a number that the kernel chose.',
      "ioctl_tty(2) and pts(4): TIOCSPTLCK with 0 unlocks the slave, TIOCGPTN tells its number. c_ioctl takes type and value: 'void *', an Int32Array.",
      'An instance’s own ptmx lies beside its slaves; /dev/ptmx lies beside the folder pts. So: the folder of ptmx, and "pts" in it unless that folder is called pts.',
    ],
    check: checkOpenPty,
    wrong: [
      {
        mistake: 'does not unlock the slave',
        code: `const master = openSync(ptmx, constants.O_RDWR | constants.O_NOCTTY);
const number = new Int32Array(1);
checked('ioctl', c_ioctl(master, TIOCGPTN, 'void *', number));
const beside = dirname(ptmx);
return { master, slavePath: join(basename(beside) === 'pts' ? beside : join(beside, 'pts'), String(number[0])) };`,
        diagnosis: 'is locked',
      },
      {
        mistake: 'hard-codes the slave’s number',
        code: `const master = openSync(ptmx, constants.O_RDWR | constants.O_NOCTTY);
checked('ioctl', c_ioctl(master, TIOCSPTLCK, 'void *', new Int32Array([0])));
return { master, slavePath: '/dev/pts/0' };`,
        diagnosis: 'TIOCGPTN',
      },
      {
        mistake: 'takes every slave to be in /dev/pts',
        code: `const master = openSync(ptmx, constants.O_RDWR | constants.O_NOCTTY);
checked('ioctl', c_ioctl(master, TIOCSPTLCK, 'void *', new Int32Array([0])));
const number = new Int32Array(1);
checked('ioctl', c_ioctl(master, TIOCGPTN, 'void *', number));
return { master, slavePath: \`/dev/pts/\${number[0]}\` };`,
        diagnosis: 'instance',
      },
    ],
  },
];

async function checkParseStat(t: Trial): Promise<void> {
  const folder = t.folder();
  const word = t.word().slice(0, 5);
  const causes = [
    [word, 'The manual counts fields from 1, and what follows the name begins with field 3.'],
    [`${word} x`, 'You split at spaces, but the name may hold spaces: take it out by its brackets first.'],
    [`${word}) R 1 (`, 'You end the name at its first closing bracket; it ends at the last one of the line.'],
  ] as const;
  for (const [name, cause] of causes) {
    const { pid } = await started(t, folder, name);
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8').trimEnd();
    const { comm, ppid, pgrp, session, threads } = parseStat(line);
    // The process leads a session of its own, and its parent is this one: facts that the line must agree with.
    const expected = { comm: name, ppid: c_getpid(), pgrp: pid, session: pid, threads: 1 };
    expectSame(
      `for the line "${line.slice(0, 60)}…"`,
      expected,
      { comm, ppid, pgrp, session, threads },
      cause,
    );
  }
}

/** A process of this name, in a session of its own. */
async function started(t: Trial, folder: string, name: string): Promise<{ pid: number }> {
  const program = join(folder, name);
  symlinkSync('/bin/sleep', program);
  const child: ChildProcess = spawn(program, ['1000'], { detached: true, stdio: 'ignore' });
  t.cleanup(() => void child.kill('SIGKILL'));
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  if (!child.pid) throw new CannotCheck('no process could be started', 'npm run doctor');
  return { pid: child.pid };
}

function checkFork(t: Trial): void {
  const status = t.number(1, 120);
  const parent = c_getpid();
  const folder = t.folder();
  const pid = fork(() => {
    const memory = Array.from({ length: 100_000 }, (_, i) => ({ i })); // enough for the heap to grow
    mkdirSync(join(folder, `${c_getpid()}-${memory.length}`));
    return status;
  });
  if (c_getpid() !== parent) return c_exit(99);
  const end = waitpid(pid);
  expectThat(
    !(end.kind === 'signaled' && end.signal === 11),
    'a child that runs',
    'a child that died of SIGSEGV at once',
    'V8’s heap was not copied into the child: ask for it with madvise(2) before the fork.',
  );
  expectThat(
    !(end.kind === 'exited' && end.code === 99),
    'a child that ends when the child function has returned',
    'a child that came back from fork() and went on as a second parent',
    'The child came back from fork(): it must leave by _exit(2), never by return.',
  );
  expectSame(
    'how the child ended',
    { kind: 'exited', code: status },
    end,
    'The exit status is what the child function returns: give it to _exit.',
  );
  expectThat(
    execFileSync('ls', [folder], { encoding: 'utf8' }).trim() === `${pid}-100000`,
    `the child function run once, by process ${pid}`,
    execFileSync('ls', [folder], { encoding: 'utf8' }).trim() || 'not run at all',
    'The child function runs in the child, once.',
  );
}

function checkSetCapabilities(t: Trial): void {
  const before = readCapabilities('self')!;
  const kept = DOCKER_CAPABILITIES.filter((name) => before.permitted.includes(name) && t.number(0, 1) === 1);
  if (kept.length === 0) kept.push(...DOCKER_CAPABILITIES.slice(0, 1));
  try {
    setCapabilities({ effective: kept });
  } catch (error) {
    if (!isErrno(error, 'EPERM')) throw error;
    throw new Wrong({
      expected: `capset to accept ${kept.length} effective capabilities`,
      observed: error instanceof Error ? error.message : String(error),
      cause:
        'EPERM: effective must lie within permitted. Are the words in the order effective, permitted, inheritable?',
    });
  }
  const status = readFileSync('/proc/self/status', 'utf8');
  const mask = (key: string): bigint => BigInt(`0x${new RegExp(`^${key}:\\s+(\\w+)`, 'm').exec(status)![1]}`);
  const after = readCapabilities('self')!;
  expectThat(
    mask('CapEff') >> 32n === 0n,
    'no effective capability beyond number 31',
    `CapEff ${mask('CapEff').toString(16)}`,
    'There are capabilities beyond 32 bits: the second struct holds their half of the mask.',
  );
  expectSame(
    'the permitted set',
    before.permitted,
    after.permitted,
    'The permitted set was not given, and must stay as it was: ask with capget first.',
  );
  expectSame(
    'the effective set',
    [...kept].sort(),
    [...after.effective].sort(),
    'The words are in the order effective, permitted, inheritable.',
  );
}

function checkOpenPty(t: Trial): void {
  const first = opened(t, () => openPty());
  const second = opened(t, () => openPty());
  expectThat(
    first.slavePath !== second.slavePath,
    'two terminals with slaves of their own',
    `${first.slavePath} twice`,
    'The kernel chooses the number: ask for it with TIOCGPTN.',
  );
  for (const [pty, cause] of [
    [first, ''],
    [second, ''],
  ] as const)
    converse(
      t,
      pty,
      cause || 'The two ends do not belong together: ask for the slave’s number with TIOCGPTN.',
    );
  const folder = join(t.folder(), 'pts');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'devpts', '-o', 'newinstance,ptmxmode=666', 'devpts', folder]);
  t.cleanup(() => void execFileSync('umount', ['-l', folder]));
  const inside = opened(t, () => openPty(join(folder, 'ptmx')));
  expectThat(
    inside.slavePath.startsWith(`${folder}/`),
    `a slave in ${folder}`,
    inside.slavePath,
    'Each devpts is an instance of its own: the slave lies beside the ptmx that was opened.',
  );
  converse(t, inside, 'The slave lies in the instance whose ptmx was opened.');
}

function opened(
  t: Trial,
  open: () => { master: number; slavePath: string },
): { master: number; slavePath: string } {
  const pty = open();
  t.cleanup(() => closeSync(pty.master));
  return pty;
}

/** What is written at the slave arrives at the master. */
function converse(t: Trial, pty: { master: number; slavePath: string }, cause: string): void {
  let slave: number;
  try {
    slave = openSync(pty.slavePath, constants.O_RDWR | constants.O_NOCTTY);
  } catch (error) {
    const locked = isErrno(error, 'EIO');
    const observed = error instanceof Error ? error.message : String(error);
    throw new Wrong({
      expected: `the slave ${pty.slavePath} to open`,
      observed,
      cause: locked ? 'EIO: the slave is locked until TIOCSPTLCK is told 0.' : cause,
    });
  }
  const word = t.word();
  writeSync(slave, word);
  closeSync(slave);
  const chunk = Buffer.alloc(64);
  let read = '';
  try {
    read = chunk.toString('utf8', 0, readSync(pty.master, chunk));
  } catch (error) {
    if (!isErrno(error, 'EIO')) throw error;
  }
  expectSame(`what was written at ${pty.slavePath}, read at the master`, word, read, cause);
}
