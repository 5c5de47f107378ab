import { boot } from './boot.ts';
import { parseDaemonOptions, USAGE, UsageError } from './daemon-options.ts';
import { explain, log } from './log.ts';

/** mydockerd: the engine's daemon. Serves the Docker Engine API on a unix socket. */
async function main(): Promise<void> {
  const options = parseDaemonOptions(process.argv.slice(2), process.env);
  if (options === 'help') return void process.stdout.write(USAGE);
  if (process.getuid?.() !== 0)
    throw new Error('it makes namespaces, mounts and networks: run it as root (sudo mydockerd)');
  const daemon = await boot(options);
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      log('info', `${signal}: going down`);
      void daemon.stop().finally(() => process.exit(0));
    });
  process.on('SIGHUP', () => undefined);
  process.on('unhandledRejection', (error) => log('error', 'a task of the daemon failed', error));
}

main().catch((error: unknown) => {
  const debug = process.argv.includes('--debug') && error instanceof Error ? `\n${error.stack}` : '';
  process.stderr.write(`mydockerd: ${explain(error)}${debug}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
});
