import { randomBytes, randomInt } from 'node:crypto';
import { chownSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { declare, dup2, execve, exitCode, fork, waitpid } from '../../01-processes/index.ts';
import { becomePerson, introduce, type Person } from '../../02-namespaces/index.ts';
import type { Said } from './workbench.ts';

/** Somebody without root, whom the machine knows while a program of theirs runs. */
export interface Visitor {
  person: Person;
  /** What /etc/subuid and /etc/subgid lend. */
  lent: { first: number; count: number };
  /** A folder of their own; `run` in it is XDG_RUNTIME_DIR. */
  home: string;
  /** Runs a program as that person, to its end. */
  call(program: string, ...args: string[]): Said;
}

/** A signal in so many seconds, also for the program that this process becomes: what hangs is ended. */
const c_alarm = declare<(seconds: number) => number>('unsigned int alarm(unsigned int seconds)');

/** @param dir where the person's folder is made; the person must be able to reach it */
export function visitor(dir: string): Visitor {
  const uid = randomInt(20_000, 30_000);
  const person = { name: `p${randomBytes(4).toString('hex')}`, uid, gid: uid + 1 };
  const lent = { first: 1_000_000 + 65_536 * randomInt(1000), count: 65_536 };
  const home = join(dir, 'home');
  mkdirSync(join(home, 'run'), { recursive: true });
  for (const folder of [home, join(home, 'run')]) chownSync(folder, uid, person.gid);
  let count = 0;
  return {
    person,
    lent,
    home,
    call(program, ...args) {
      // Files, not pipes: a container that stays would hold a pipe open.
      count++;
      const files = ['out', 'err'].map((name) => join(home, `${name}${count}`)) as [string, string];
      const folder = join(home, `etc${count}`);
      const pid = fork(() => {
        introduce(person, folder, lent);
        const [out, err] = files.map((file) => openSync(file, 'w')) as [number, number];
        dup2(openSync('/dev/null', 'r'), 0);
        dup2(out, 1);
        dup2(err, 2);
        becomePerson(person);
        process.chdir(home);
        c_alarm(120);
        const own = [`HOME=${home}`, `XDG_RUNTIME_DIR=${join(home, 'run')}`, `USER=${person.name}`];
        execve(program, [program, ...args], [`PATH=${process.env['PATH']}`, ...own]);
      });
      const status = exitCode(waitpid(pid));
      const [out, err] = files.map((file) => readFileSync(file, 'utf8')) as [string, string];
      return { status, out, err };
    },
  };
}
