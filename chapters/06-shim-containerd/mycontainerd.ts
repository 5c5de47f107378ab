import { realpathSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startContainerd } from './containerd-server.ts';
import { LOG_LEVELS, stderrLogger, type LogLevel } from './logger.ts';
import { VERSION } from './service-introspection.ts';

const USAGE = `Usage: mycontainerd [--root DIR] [--state DIR] [--address SOCKET] [--log-level LEVEL]

Keeps images and containers, and starts a shim for each container that runs. Speaks containerd's gRPC API.

  --root DIR         what is kept (default /var/lib/mydocker/containerd)
  --state DIR        what a restart of the machine may lose (default /run/mydocker/containerd)
  --address SOCKET   where to listen (default STATE/containerd.sock)
  --log-level LEVEL  ${LOG_LEVELS.join(', ')} (default info)
  --version
`;

/** sun_path has 108 bytes, the last a zero. unix(7) */
const LONGEST_SOCKET = 107;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      root: { type: 'string', default: '/var/lib/mydocker/containerd' },
      state: { type: 'string', default: '/run/mydocker/containerd' },
      address: { type: 'string' },
      'log-level': { type: 'string', default: 'info' },
      version: { type: 'boolean', short: 'v' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help || values.version) {
    writeSync(1, values.help ? USAGE : `mycontainerd ${VERSION}\n`);
    return process.exit(0);
  }
  const level = values['log-level'] as LogLevel;
  if (!LOG_LEVELS.includes(level))
    throw new Error(`invalid --log-level ${JSON.stringify(level)}: one of ${LOG_LEVELS.join(', ')}`);
  if (process.getuid?.() !== 0)
    throw new Error('root is needed for mounts, namespaces and cgroups: try sudo');

  const [root, state] = [resolve(values.root), resolve(values.state)];
  const address = resolve((values.address ?? `${state}/containerd.sock`).replace(/^unix:\/\//, ''));
  const longest = LONGEST_SOCKET - '.ttrpc'.length;
  if (Buffer.byteLength(address) > longest)
    throw new Error(
      `--address ${JSON.stringify(address)} is too long: a socket's path has at most ${longest} bytes here`,
    );
  const program = realpathSync(process.argv[1]!);
  const log = stderrLogger(level);
  // One call that goes wrong in a way nobody thought of is no reason to leave all others.
  for (const event of ['uncaughtException', 'unhandledRejection'] as const)
    process.on(event, (error: unknown) =>
      log('error', `unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    );
  const stop = await startContainerd({
    root,
    state,
    address,
    program,
    programDirectory: dirname(program),
    debug: level === 'debug' || level === 'trace',
    log,
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      log('info', `${signal}: ending; containers go on`);
      void stop().then(() => process.exit(0));
    });
}

main().catch((error: unknown) => {
  writeSync(2, `mycontainerd: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
