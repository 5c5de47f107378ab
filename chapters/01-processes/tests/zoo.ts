import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  dup2,
  execve,
  fork,
  makeExecutable,
  openPty,
  setControllingTerminal,
  setsid,
  waitpid,
} from '../index.ts';

/** The lines of the programs that list, each of which has a number of its own. */
const LISTERS = 'ours|ps axjf|pstree\\(';

/** Every kind of process that a listing has to tell apart, under one shell, which then runs `$1` and keeps what it prints. */
const SCRIPT = `
  cd "$1"
  sleep 1001 & sleep 1001 &
  "./a) R 1 (b" 1002 &
  "./two
lines" 1003 &
  "./back\\slash" 1003 &
  ./ümlaut 1004 &
  nice -n 5 sleep 1005 &
  nice -n -5 sleep 1006 &
  setsid sleep 1007 &
  setpriv --reuid 12345 --regid 12345 --clear-groups sleep 1008 &
  sh -c 'kill -STOP $$' "three
lines" &
  sh -c 'sleep 0 & exec sleep 1009' &                 # the one that ended stays a zombie: sleep never waits
  sh -c 'sh -c "sleep 1010 & exec sleep 1011" & exec sleep 1012' &
  sh -c 'sleep 1013 & exit' &                         # an orphan
  "$2" -e 'fs.writeFileSync("ready", ""); setInterval(() => {}, 1e6)' &
  # Until each has become its program and waits: nobody but ps runs, and nobody waits for a disk.
  moving() { ps -A -o stat=,comm= | grep -v ' ps$' | grep -q '^[RD]'; }
  i=0; until [ -e ready ] || [ $((i += 1)) -gt 600 ]; do sleep 0.1; done
  i=0; while moving && [ $((i += 1)) -le 600 ]; do sleep 0.1; done
  # And until they stood still while they were listed: what the listings say of themselves is left out.
  i=0; while [ $((i += 1)) -le 60 ]; do
    $3 >before; $4 >ours; $3 >after
    for list in before after; do grep -Ev '${LISTERS}' $list >$list.others; done
    if cmp -s before.others after.others; then break; fi
    sleep 0.5
  done
  kill -9 -1
`;

/**
 * What `theirs` and a program of this chapter print about the same processes, which stand still: in a pid namespace of their own, on a
 * terminal of their own. The lines of the listing programs themselves are left out.
 */
export async function listings(
  theirs: string,
  program: string,
): Promise<{ theirs: string[]; ours: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'ch01-zoo-'));
  const { master, slavePath } = openPty();
  try {
    for (const name of ['a) R 1 (b', 'two\nlines', 'back\\slash', 'ümlaut'])
      symlinkSync('/bin/sleep', join(folder, name));
    const ours = join(folder, 'ours.bin');
    await makeExecutable({ source: join(import.meta.dirname, '..', program), out: ours });
    const pid = fork(() => {
      setPriority(0); // however nice the tests themselves are
      setsid();
      const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
      setControllingTerminal(slave);
      for (const fd of [0, 1, 2]) dup2(slave, fd);
      const args = ['--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', SCRIPT, 'zoo'];
      execve(
        '/usr/bin/unshare',
        ['unshare', ...args, folder, process.execPath, theirs, ours],
        ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8', 'COLUMNS=1000'],
      );
    });
    waitpid(pid);
    const read = (name: string): string[] =>
      readFileSync(join(folder, name), 'utf8')
        .split('\n')
        .filter((line) => line !== '' && !new RegExp(LISTERS).test(line));
    return { theirs: read('after'), ours: read('ours') };
  } finally {
    closeSync(master);
    rmSync(folder, { recursive: true });
  }
}
