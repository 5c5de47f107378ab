import { spawn } from 'node:child_process';
import { join } from 'node:path';

const tsx = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'tsx');

/** How long a demo may be silent, on a slow machine too. milliseconds */
const SILENCE = 100_000;

/**
 * Runs a demo step by step, presses Enter until it has printed what is looked for, and interrupts it there as Ctrl-C does. However late the
 * signal is heard, the demo does not come to the next step: nobody presses Enter any more. Its output ends when the last of those has ended that
 * it started.
 * @throws Error when nothing has been heard for long: of the demo, or of its end
 */
export async function interruptDemo(
  script: string,
  at: string | RegExp,
): Promise<{ status: number | NodeJS.Signals; text: string }> {
  const run = spawn(tsx, [script, '--step'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let text = '';
  let sent = false;
  let timer: NodeJS.Timeout | undefined;
  run.stdout.on('data', (data: Buffer) => {
    timer?.refresh();
    text += data.toString();
    if (!sent && text.search(at) >= 0) sent = run.kill('SIGINT');
  });
  run.stderr.on('data', (data: Buffer) => {
    if (!sent && data.includes('Enter for the next step')) run.stdin.write('\n');
  });
  try {
    const status = await new Promise<number | NodeJS.Signals>((resolve, reject) => {
      run.on('close', (code, signal) => resolve(code ?? signal!));
      timer = setTimeout(() => {
        run.kill('SIGTERM');
        reject(
          new Error(`${script}, ${sent ? 'interrupted' : 'not yet interrupted'}, did not end:\n${text}`),
        );
      }, SILENCE);
    });
    return { status, text };
  } finally {
    clearTimeout(timer);
  }
}

/** The titles of the steps that a demo printed. */
export const stepsOf = (text: string): string[] => text.match(/^\d+\. .*$/gm) ?? [];
