import { writeSync } from 'node:fs';
import { parseShimArguments } from './shim-arguments.ts';

/** The program that containerd starts for each container: `start`, `delete`, or the daemon itself. */
async function main(): Promise<void> {
  const shim = parseShimArguments(process.argv.slice(2));
  if (shim.version) {
    writeSync(1, 'containerd-shim-myrunc-v2:\n  Version:  2\n');
  } else if (shim.action === 'start') {
    const { startShim } = await import('./shim-start.ts');
    writeSync(1, await startShim(shim));
  } else if (shim.action === 'delete') {
    const { deleteShim } = await import('./shim-delete.ts');
    writeSync(1, await deleteShim(shim));
  } else {
    const { serveShim } = await import('./shim-daemon.ts');
    return serveShim(shim);
  }
  process.exit(0);
}

main().catch((error: unknown) => {
  writeSync(2, `${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
