import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What a file of `final/bench/` or `final/fuzz/` exports. */
export interface Suite {
  /** One line for `--help`. */
  summary: string;
  /** Measures or fuzzes, and prints. Returns the program's exit status: 0 when what it claims held. */
  run(args: string[]): Promise<number>;
}

/** The suites of a folder beside this file, by name: each `NAME.ts` in it is one; `NAME-part.ts` and folders are their parts. */
export function suitesIn(folder: string): string[] {
  if (!existsSync(join(import.meta.dirname, folder))) return [];
  return readdirSync(join(import.meta.dirname, folder), { withFileTypes: true })
    .filter((entry) => entry.isFile() && /^[a-z]+\.ts$/.test(entry.name))
    .map(({ name }) => basename(name, '.ts'))
    .sort();
}

/**
 * Runs the suite that the first word names, with the words after it.
 * @returns the program's exit status; 2 when there is no such suite
 */
export async function runSuite(folder: string, words: string[]): Promise<number> {
  const names = suitesIn(folder);
  const load = async (name: string): Promise<Suite> => (await import(`./${folder}/${name}.ts`)) as Suite;
  const [name, ...args] = words;
  if (name === '--help' || name === '-h') {
    console.log(`npm run ${folder} -- NAME [OPTIONS]\n`);
    for (const each of names) console.log(`  ${each.padEnd(10)} ${(await load(each)).summary}`);
    return 0;
  }
  if (!name || !names.includes(name)) {
    console.error(
      `npm run ${folder} -- ${name ?? 'NAME'}: which? There are: ${names.join(', ') || 'none yet'}`,
    );
    return 2;
  }
  return (await load(name)).run(args);
}

// `npm run bench -- NAME` and `npm run fuzz -- NAME`.
if (process.argv[1] === import.meta.filename) {
  const [folder, ...words] = process.argv.slice(2);
  process.exitCode = await runSuite(folder ?? 'bench', words);
}
