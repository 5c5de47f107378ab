import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** renameat2(2)'s number on this kind of machine. */
const SYS_renameat2 = process.arch === 'arm64' ? 276 : 316;
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

/**
 * The other side of a race: a process that exchanges two names, over and over, as fast as the kernel can. Returns once it runs; the call
 * ends it.
 */
export async function exchanging(a: string, b: string): Promise<() => Promise<void>> {
  const script = `$| = 1; print "ready\\n"; syscall(${SYS_renameat2}, ${AT_FDCWD}, $ARGV[0], ${AT_FDCWD}, $ARGV[1], ${RENAME_EXCHANGE}) while 1`;
  const racer = spawn('perl', ['-e', script, a, b], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(racer.stdout, 'data');
  return async () => {
    racer.kill('SIGKILL');
    if (racer.exitCode === null && racer.signalCode === null) await once(racer, 'exit');
  };
}
