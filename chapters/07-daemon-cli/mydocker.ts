import { endQuietlyOnClosedPipe, finish } from './cli-exit.ts';
import { runCommandLine } from './cli-program.ts';

async function main(): Promise<void> {
  endQuietlyOnClosedPipe();
  await finish(await runCommandLine(process.argv.slice(2), process.env));
}

void main();
