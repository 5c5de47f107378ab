import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/**
 * Runs Node with these arguments on this process's own streams, and returns its exit status when it has ended: 128 + n after signal n.
 * Whoever ends this process ends that one, and is waited for: what it has to put in order is put in order before the shell's prompt returns.
 */
export async function runInForeground(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  const handOn = (signal: NodeJS.Signals): void => {
    // Ctrl-C reaches the child by itself: it is in the terminal's foreground group too.
    if (signal === 'SIGTERM' || !process.stdin.isTTY) child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
  for (const signal of signals) process.on(signal, handOn);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal!]));
    });
  } finally {
    for (const signal of signals) process.off(signal, handOn);
  }
}
