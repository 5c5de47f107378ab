import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeExecutable } from '../../01-processes/index.ts';

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
      return { pid, end: () => void (child.kill('SIGKILL'), process.kill(pid, 'SIGKILL')) };
    if (child.exitCode !== null) throw new Error(`unshare ${flags.join(' ')} ended: ${await ended}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** With --fork the sleeper is unshare's child, else unshare itself has become it. */
function sleeping(pid: number): number | undefined {
  const isSleep = (id: number): boolean => readFileSync(`/proc/${id}/comm`, 'utf8') === 'sleep\n';
  if (isSleep(pid)) return pid;
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return children.find(isSleep);
}
