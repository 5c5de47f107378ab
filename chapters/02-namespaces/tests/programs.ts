import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { listPids, makeExecutable, readCmdline, readStat } from '../../01-processes/index.ts';

const places = new Map<string, string>();

/** Makes each program one file that starts fast; to be called once before the tests. */
export async function buildPrograms(folder: string, ...programs: ('lsns' | 'nsenter')[]): Promise<void> {
  for (const program of programs) {
    const out = join(folder, program);
    await makeExecutable({
      source: join(import.meta.dirname, '..', `${program}.ts`),
      out,
      singleThreaded: true,
    });
    places.set(program, out);
  }
}

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

export const programPath = (program: 'lsns' | 'nsenter'): string => places.get(program)!;

/** Runs one of this chapter's programs to its end. */
export const runOurs = (program: 'lsns' | 'nsenter', ...args: string[]): Ended =>
  run(programPath(program), ...args);

/** Runs any program to its end. */
export function run(program: string, ...args: string[]): Ended {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (error) throw error;
  return { status, stdout, stderr };
}

/** A sleeping process of util-linux's in new namespaces, the sleeper's own id, and its end. */
export async function sleeperIn(...flags: string[]): Promise<{ pid: number; end: () => void }> {
  const child = spawn('unshare', [...flags, 'sleep', '1000'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for (;;) {
    const pid = sleeping(child.pid!);
    if (pid !== undefined)
      // The sleeper first: it dies with its parent, and is nobody's any more.
      return { pid, end: () => void (process.kill(pid, 'SIGKILL'), child.kill('SIGKILL')) };
    if (child.exitCode !== null) throw new Error(`unshare ${flags.join(' ')} ended: ${await ended}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * With --fork the sleeper is unshare's child, else unshare itself has become it. Once it has its arguments, which the kernel gives a program after
 * its name, others see it as it will stay.
 */
function sleeping(pid: number): number | undefined {
  return [pid, ...listPids().filter((id) => readStat(id)?.ppid === pid)].find(
    (id) => readStat(id)?.state === 'S' && readCmdline(id)?.join(' ') === 'sleep 1000',
  );
}
