import { spawn } from 'node:child_process';

/** How long a demo may be silent, on a slow machine too. milliseconds */
const SILENCE = 100_000;

/**
 * Runs a demo step by step, presses Enter until it has printed what is looked for, and interrupts it there as Ctrl-C does. However late the
 * signal is heard, the demo does not come to the next step: nobody presses Enter any more. What it prints and what it asks come by one pipe, so
 * that the one is never read before the other. Its output ends when the last of those has ended that it started.
 *
 * It is started without the command tsx, which kills its child when that has not acknowledged a signal within 60 ms, as on a busy machine.
 * @throws Error when nothing has been heard for long: of the demo, or of its end
 */
export async function interruptDemo(
  script: string,
  at: string | RegExp,
): Promise<{ status: number | NodeJS.Signals; text: string }> {
  const demo = ['--import', 'tsx', script, '--step'];
  const run = spawn('/bin/sh', ['-c', 'exec "$0" "$@" 2>&1', process.execPath, ...demo], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  let sent = false;
  let pressed = 0;
  let timer: NodeJS.Timeout | undefined;
  run.stdout.on('data', (data: Buffer) => {
    timer?.refresh();
    text += data.toString();
    if (!sent && text.search(at) >= 0) sent = run.kill('SIGINT');
    const asked = text.split('Enter for the next step').length - 1;
    for (; !sent && pressed < asked; pressed++) run.stdin.write('\n');
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
