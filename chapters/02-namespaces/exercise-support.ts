import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Trial } from '../01-processes/index.ts';

/** A process of util-linux's in new namespaces, for as long as the check runs. */
export async function strangerIn(t: Trial, ...flags: string[]): Promise<number> {
  const child = spawn('unshare', [...flags, 'sleep', '1000'], { stdio: 'ignore' });
  t.cleanup(() => void child.kill('SIGKILL'));
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  for (;;) {
    // unshare has become sleep once it is in its namespaces.
    if (readFileSync(`/proc/${child.pid}/comm`, 'utf8') === 'sleep\n') return child.pid!;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
