import { constants } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { interruptSignal, singleThreaded } from '../chapters/01-processes/index.ts';
import { serveBook } from './serve.ts';
import { build } from '../final/build.ts';
import {
  answers,
  DEFAULT_PLACES,
  runningEngine,
  socketOf,
  startEngine,
  temporaryPlaces,
  type Engine,
} from '../final/engine.ts';
import { prove } from '../final/proof.ts';

// `npm start`: builds, starts the engine, proves it with one container, and serves the workshop until interrupted.
const options = new Command('npm start --')
  .description('Build the engine, run one container through every layer, and serve the workshop’s pages.')
  .option('--once', 'end after the proof: status 0 if every claim held')
  .option('--port <number>', 'the port of 127.0.0.1 that serves the pages', portNumber, 8080)
  .parse()
  .opts<{ once?: true; port: number }>();

await singleThreaded();
const interrupt = interruptSignal();
try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  if (!interrupt.aborted) console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
if (interrupt.aborted && options.once)
  process.exitCode = 128 + constants.signals[interrupt.reason as NodeJS.Signals];

async function main(): Promise<boolean> {
  console.log('building the engine into final/bin/');
  await build();
  if (options.once) return proveOnce();
  const book = await serveBook(options.port);
  try {
    const { engine, ours } = await engineOfThisMachine();
    try {
      const held = await prove(engine, interrupt);
      if (interrupt.aborted) return held;
      console.log('\nThe engine runs. Try: final/bin/mydocker run --rm -it busybox');
      console.log(`The workshop is at ${book.url}. Ctrl-C ends both.`);
      await new Promise((resolve) => interrupt.addEventListener('abort', resolve));
      return held;
    } finally {
      if (ours) await engine.stop();
    }
  } finally {
    book.server.closeAllConnections();
    book.server.close();
  }
}

/** The proof on an engine of its own, in places of its own, of which nothing is left. */
async function proveOnce(): Promise<boolean> {
  const places = temporaryPlaces('mydocker-proof');
  try {
    const engine = await startEngine({ ...places, flags: ['--bridge', `proof${process.pid}`] }, interrupt);
    try {
      return await prove(engine, interrupt);
    } finally {
      await engine.stop();
    }
  } finally {
    places.remove();
  }
}

/** The engine in Docker's own places: the one that runs there already, or a new one. */
async function engineOfThisMachine(): Promise<{ engine: Engine; ours: boolean }> {
  if (await answers(socketOf(DEFAULT_PLACES))) return { engine: runningEngine(DEFAULT_PLACES), ours: false };
  return { engine: await startEngine(DEFAULT_PLACES, interrupt), ours: true };
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new InvalidArgumentError('give a number from 0 to 65535.');
  return port;
}
