import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Machine, Step } from './machine.ts';

const CHECKOUT = join(import.meta.dirname, '..');
/** bytes; a sparse file: it takes what is written */
const DISK = 16 * 2 ** 30;
const REPORTS = 64 * 2 ** 20;

export interface BootOptions {
  /** What the kernel's command line says besides. */
  kernel?: readonly string[];
  /** seconds after which the machine is ended */
  limit: number;
  /** Where the reports are put: a folder that exists. */
  out: string;
  signal: AbortSignal;
  /** A line of the machine's console. */
  onLine(line: string): void;
}

/** How a machine ended. */
export interface Ended {
  /** Why it did not come to its own end. */
  why?: 'the time limit' | 'interrupted' | 'a kernel panic';
}

/**
 * Boots `machine` on this checkout, has it run the steps, and puts what they report into `out`: NAME.json, and NAME.status with the exit
 * status. A step that did not end leaves no status. When this returns, nothing of the machine is there any more, however it ended.
 * @throws Error when the disks cannot be made, or the machine cannot be started
 */
export async function boot(machine: Machine, steps: readonly Step[], options: BootOptions): Promise<Ended> {
  const work = mkdtempSync(join(tmpdir(), 'workshop-vm-'));
  try {
    for (const [name, size] of [
      ['disk', DISK],
      ['reports', REPORTS],
    ] as const) {
      writeFileSync(join(work, name), '');
      truncateSync(join(work, name), size);
    }
    writeFileSync(join(work, 'steps'), steps.map(({ name, command }) => `${name}\t${command}\n`).join(''));
    writeFileSync(join(work, 'environment'), environment(machine));
    const command = machine.command({ checkout: CHECKOUT, work, kernel: options.kernel ?? [] });
    const ended = await run(['bash', join(CHECKOUT, 'vagrant/sandbox.sh'), work, ...command], options);
    unpack(join(work, 'reports'), options.out);
    return ended;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What the steps find in their environment: this Node, and colours where they are wanted here. For a shell. */
function environment(machine: Machine): string {
  const colours: Record<string, string> = process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' };
  const all = { ...machine.environment, ...colours, CI: '1' };
  const lines = Object.entries(all).map(([name, value]) => `export ${name}=${value}`);
  return [`export PATH=${dirname(process.execPath)}:$PATH`, ...lines, ''].join('\n');
}

/** Runs a program to its end, or to that of its time. What it started ends with it: sandbox.sh gives it a process namespace. */
async function run(command: string[], { limit, signal, onLine }: BootOptions): Promise<Ended> {
  // Apart from the terminal, whose Ctrl-C is for this program; and killed with it, whatever kills it.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8' },
  });
  const ended: Ended = {};
  const end = (why: NonNullable<Ended['why']>) => (): void => {
    ended.why ??= why;
    child.kill('SIGKILL');
  };
  const read = (line: string): void => {
    onLine(line.replaceAll('\r', ''));
    // Some machines stay as they are then, for somebody to look at. What is said next is still of interest.
    if (line.includes('Kernel panic')) setTimeout(end('a kernel panic'), 1000).unref();
  };
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', read);
  const timer = setTimeout(end('the time limit'), limit * 1000);
  const interrupt = end('interrupted');
  signal.addEventListener('abort', interrupt);
  try {
    await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return ended;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', interrupt);
  }
}

/** The disk holds a tar archive, made anew after each step; or nothing but zeros, which is an empty one. @throws Error when it is broken */
function unpack(disk: string, out: string): void {
  const { status, stderr } = spawnSync('tar', ['-xf', disk, '-C', out], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the machine's reports cannot be read: ${stderr}`);
}
