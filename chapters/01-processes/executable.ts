import { chmodSync, mkdirSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';

export interface ExecutableOptions {
  /** The program's TypeScript: a file that parses its arguments and calls. */
  source: string;
  /** The file to make, executable by everyone. Its folder is made too. */
  out: string;
  /** Started `node --single-threaded`: for programs that fork(2). */
  singleThreaded?: boolean;
}

/**
 * Makes one file out of a program and all that it imports: an executable that other programs can start, from any directory and
 * with any environment. Its first line names this very Node, so that it needs no PATH. koffi, the one part that is not JavaScript,
 * stays where npm put it and is found by its path relative to the executable.
 * @throws esbuild's errors, which name file and line
 */
export async function makeExecutable({
  source,
  out,
  singleThreaded = false,
}: ExecutableOptions): Promise<void> {
  const { build } = await import('esbuild');
  const directory = dirname(resolve(out));
  mkdirSync(directory, { recursive: true });
  const koffi = dirname(createRequire(resolve(source)).resolve('koffi'));
  const temporary = join(directory, `.${process.pid}.${Math.random().toString(36).slice(2)}`);
  await build({
    entryPoints: [source],
    outfile: temporary,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['esbuild'],
    plugins: [
      {
        name: 'koffi stays outside',
        setup: (b) =>
          b.onResolve({ filter: /^koffi$/ }, () => ({
            path: relative(realpathSync(directory), koffi),
            external: true,
          })),
      },
    ],
    // `--` ends Node's own flags: without it Node takes the program's `--env-file` for itself.
    banner: { js: `#!${process.execPath} ${singleThreaded ? '--single-threaded' : '--'}` },
    logLevel: 'silent',
    legalComments: 'none',
  });
  // Node asks the nearest package.json what kind of module a file without an ending is.
  writeFileSync(join(directory, 'package.json'), '{ "type": "commonjs" }\n');
  chmodSync(temporary, 0o755);
  renameSync(temporary, out);
}
