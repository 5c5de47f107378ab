import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from './errors.ts';
import { expectSame, expectThat, Wrong, type Exercise, type Trial } from './exercise.ts';
import { openPty } from './pty.ts';

export const opening: Exercise = {
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
};

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
