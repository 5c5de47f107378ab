import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SyscallError } from '../../chapters/01-processes/index.ts';
import { RegistryError, StoreError, Unreachable } from '../../chapters/04-overlayfs/index.ts';
import { KINDS, type Kind } from './images-cases.ts';
import { openGround } from './images-ground.ts';
import { random } from './json-mutations.ts';

/** What a worker says to the one that started it. */
export type Report =
  | { begins: number; kind: string }
  | { wrong: string; number: number; kind: string }
  | { ended: { taken: Record<string, number>; refused: Record<string, number>; peak: number } };

/** A refusal that is meant: an error of the layer's own kinds, or of the kernel, perhaps told of an entry. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (
    error instanceof StoreError ||
    error instanceof RegistryError ||
    error instanceof Unreachable ||
    error instanceof SyscallError
  )
    return true;
  if ('errno' in error && typeof error.errno === 'number') return true;
  return error.cause !== undefined && isRefusal(error.cause);
}

/** A message is read by people. Characters. */
const LONGEST = 8000;

/** Which kind a case is: so many of each hundred. */
export function kindOf(number: number): Kind {
  let place = (number * 37) % 100;
  return KINDS.find(({ share }) => (place -= share) < 0)!;
}

/** Tries cases one after the other, each from its own seed: the same number is the same case. */
async function work(seed: number, from: number, to: number, step: number, dir: string): Promise<void> {
  const ground = await openGround(dir);
  const [taken, refused]: Record<string, number>[] = [{}, {}] as never;
  const say = (report: Report): void => void process.send!(report);
  try {
    for (let number = from; number < to; number += step) {
      const kind = kindOf(number);
      say({ begins: number, kind: kind.name });
      let failure: unknown;
      try {
        await kind.run(random(seed + Math.imul(number, 0x9e3779b1)), ground);
        taken![kind.name] = (taken![kind.name] ?? 0) + 1;
      } catch (error) {
        failure = error;
        refused![kind.name] = (refused![kind.name] ?? 0) + 1;
        if (!isRefusal(error))
          say({
            wrong: error instanceof Error ? (error.stack ?? error.message) : String(error),
            number,
            kind: kind.name,
          });
        else if ((error as Error).message.length > LONGEST)
          say({
            wrong: `a message of ${(error as Error).message.length} characters`,
            number,
            kind: kind.name,
          });
      }
      const fault = kind.touches !== 'nothing' && (await ground.judge(kind.touches, failure !== undefined));
      if (fault) say({ wrong: fault, number, kind: kind.name });
    }
  } finally {
    await ground.close();
  }
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
  say({ ended: { taken: taken!, refused: refused!, peak } });
}

if (process.argv[1] === import.meta.filename) {
  const [seed, from, to, step] = process.argv.slice(2, 6).map(Number) as [number, number, number, number];
  const dir = mkdtempSync(join(process.argv[6]!, 'worker-'));
  // What nobody waited for and nobody caught is a crash, too.
  process.on('unhandledRejection', (error) => {
    throw error;
  });
  await work(seed, from, to, step, dir);
  rmSync(dir, { recursive: true, force: true });
  process.disconnect();
}
