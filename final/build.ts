import { join, relative } from 'node:path';
import { makeExecutable } from '../chapters/01-processes/index.ts';
import { SHIM_NODE_FLAGS } from '../chapters/06-shim-containerd/index.ts';

const ROOT = join(import.meta.dirname, '..');
/** Where the engine's programs are put. */
export const BIN = join(import.meta.dirname, 'bin');

/** The engine's programs: each chapter's part of it. Those that fork(2) are started single-threaded. */
const programs = [
  { name: 'myrunc', source: 'chapters/05-runtime/myrunc.ts', singleThreaded: true },
  {
    name: 'containerd-shim-myrunc-v2',
    source: 'chapters/06-shim-containerd/containerd-shim-myrunc-v2.ts',
    restartedWith: SHIM_NODE_FLAGS,
  },
  { name: 'mycontainerd', source: 'chapters/06-shim-containerd/mycontainerd.ts' },
  { name: 'mydockerd', source: 'chapters/07-daemon-cli/mydockerd.ts' },
  { name: 'mydocker', source: 'chapters/07-daemon-cli/mydocker.ts' },
];

/** Makes final/bin/: the engine, a file a program. Returns their paths. @throws esbuild's errors */
export async function build(): Promise<string[]> {
  return Promise.all(
    programs.map(async ({ name, source, ...options }) => {
      await makeExecutable({ source: join(ROOT, source), out: join(BIN, name), ...options });
      return join(BIN, name);
    }),
  );
}

if (process.argv[1] === import.meta.filename)
  for (const path of await build()) console.log(relative(process.cwd(), path));
