// A process that has the runtime loaded, as a program of its own: runs one command line after the other, and says how long each took.
import { createInterface } from 'node:readline';
import { runCommandLine } from '../../chapters/05-runtime/index.ts';

async function serve(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const start = process.hrtime.bigint();
    const status = await runCommandLine(JSON.parse(line) as string[]);
    console.log(JSON.stringify({ status, milliseconds: Number(process.hrtime.bigint() - start) / 1e6 }));
  }
}

void serve();
