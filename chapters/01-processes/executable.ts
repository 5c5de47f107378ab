import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';

export interface ExecutableOptions {
  /** The program's TypeScript: a file that parses its arguments and calls. */
  source: string;
  /** The file to make, executable by everyone. Its folder is made too. */
  out: string;
  /** Started `node --single-threaded`: for programs that fork(2). */
  singleThreaded?: boolean;
  /** Flags of Node that the program gives itself when it starts itself again, and so mostly runs with: V8's cache is made for those. */
  restartedWith?: readonly string[];
}

/**
 * Makes an executable out of a program and all that it imports, which other programs can start, from any directory and
 * with any environment. Its first line names this very Node, so that it needs no PATH. Beside it lies `.NAME.program`: the JavaScript, and
 * what V8 makes of it, so that at a start nothing has to be compiled. koffi's compiled part stays where npm put it and is found by
 * its path relative to the executable.
 * @throws esbuild's errors, which name file and line
 */
export async function makeExecutable({
  source,
  out,
  singleThreaded = false,
  restartedWith,
}: ExecutableOptions): Promise<void> {
  const directory = dirname(resolve(out));
  mkdirSync(directory, { recursive: true });
  const flag = singleThreaded ? '--single-threaded' : '--';
  const flags = restartedWith ?? (singleThreaded ? [flag] : []);
  const code = await bundle(source, realpathSync(directory));
  // Node asks the nearest package.json what kind of module a file without an ending is.
  writeFileSync(join(directory, 'package.json'), '{ "type": "commonjs" }\n');
  const program = `.${basename(out)}.program`;
  replaceFile(join(directory, program), compile(code, flags));
  // `--` ends Node's own flags: without it Node takes the program's `--env-file` for itself.
  replaceFile(out, `#!${process.execPath} ${flag}\n${loader(program)}`, 0o755);
}

/** Whoever starts the program meanwhile has the old file or the new one, never half of it. */
function replaceFile(path: string, content: string | Buffer, mode = 0o644): void {
  const temporary = join(dirname(path), `.${process.pid}.${Math.random().toString(36).slice(2)}`);
  writeFileSync(temporary, content, { flush: true });
  chmodSync(temporary, mode);
  renameSync(temporary, path);
}

/** One function, as text, which holds the program and all that it imports. To be run from `directory`. */
async function bundle(source: string, directory: string): Promise<string> {
  const { build } = await import('esbuild');
  const koffi = relative(directory, nativePart('koffi', createRequire(resolve(source))));
  const { outputFiles } = await build({
    entryPoints: [source],
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node20',
    // `import()` becomes `require`: Node's loader for ES modules, and the time that it takes, is never needed.
    supported: { 'dynamic-import': false },
    format: 'cjs',
    external: ['esbuild'],
    plugins: [
      {
        name: 'koffi stays outside',
        setup: (b) => b.onResolve({ filter: /^koffi$/ }, () => ({ path: koffi, external: true })),
      },
    ],
    banner: { js: '(function (require, module, exports) {' },
    footer: { js: '})' },
    logLevel: 'silent',
    legalComments: 'none',
  });
  return outputFiles[0]!.text;
}

/**
 * The file with a package's compiled part, which is all of koffi that a program needs at its start: the JavaScript around it searches for that
 * file, and takes longer than all the rest.
 */
function nativePart(name: string, require: NodeJS.Require): string {
  require(name);
  return Object.keys(require.cache).find((path) => path.endsWith(`/${name}.node`))!;
}

/** What `.NAME.program` holds: the length of the code, the code, and V8's cache of it. Source: vm.Script, `cachedData`. */
function compile(code: string, flags: readonly string[]): Buffer {
  const source = Buffer.from(code);
  // In the very Node that is to run it, and with its flags: V8 takes the cache of no other.
  const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, '-'], {
    input: `${COMPILER}(${JSON.stringify(code)})`,
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`compiling failed: ${String(stderr)}`);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(source.length);
  return Buffer.concat([length, source, stdout]);
}

/** Compiles each function now, not when it is first called. V8's answer depends on its flags: the cache is made with those of the later start. */
const COMPILER = `(function (code) {
  const { setFlagsFromString } = require('node:v8');
  setFlagsFromString('--no-lazy');
  const script = new (require('node:vm').Script)(code);
  setFlagsFromString('--lazy');
  process.stdout.write(script.createCachedData());
})`;

/** The executable's own code. Where V8 does not want the cache, as after an update of Node, it compiles as ever. */
const loader = (program: string): string => `'use strict';
const file = require('node:fs').readFileSync(\`\${__dirname}/${program}\`);
const end = 4 + file.readUInt32LE();
const script = new (require('node:vm').Script)(file.latin1Slice(4, end), { filename: __filename, cachedData: file.subarray(end) });
script.runInThisContext()(require, module, exports);
`;
