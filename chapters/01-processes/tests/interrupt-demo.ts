import { spawn } from 'node:child_process';
import { join } from 'node:path';

const tsx = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'tsx');

/**
 * Runs a demo step by step, presses Enter until it has printed what is looked for, and interrupts it there as Ctrl-C does. However late the
 * signal is heard, the demo does not come to the next step: nobody presses Enter any more.
 */
export async function interruptDemo(
  script: string,
  at: string | RegExp,
): Promise<{ status: number | NodeJS.Signals; text: string }> {
  const run = spawn(tsx, [script, '--step'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let text = '';
  let sent = false;
  run.stdout.on('data', (data: Buffer) => {
    text += data.toString();
    if (!sent && text.search(at) >= 0) sent = run.kill('SIGINT');
  });
  run.stderr.on('data', (data: Buffer) => {
    if (!sent && data.includes('Enter for the next step')) run.stdin.write('\n');
  });
  const status = await new Promise<number | NodeJS.Signals>((resolve) =>
    run.on('close', (code, signal) => resolve(code ?? signal!)),
  );
  return { status, text };
}

/** The titles of the steps that a demo printed. */
export const stepsOf = (text: string): string[] => text.match(/^\d+\. .*$/gm) ?? [];
