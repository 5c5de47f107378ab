import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expectSame, expectThat, type Exercise, type Trial } from './exercise.ts';
import { fork, waitpid } from './fork.ts';
import { c_exit, c_getpid } from './syscalls.ts';

export const forking: Exercise = {
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
};

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
