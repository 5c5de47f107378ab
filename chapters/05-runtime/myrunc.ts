import { _exit } from '../01-processes/index.ts';
import { runCommandLine } from './cli.ts';

// Status and not process.exit: what was written to a pipe is still on its way.
runCommandLine(process.argv.slice(2)).then(
  (status) => (process.exitCode = status),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = 1;
  },
);
// Now it has arrived. What Node would do yet is to give back memory, which the kernel does faster.
process.on('beforeExit', (status) => _exit(status));
