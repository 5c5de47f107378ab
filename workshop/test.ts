import { spawnSync } from 'node:child_process';

// `npm test`: lint, types, and the tests, which run on the kernel. Words after `npm test --` go to vitest: a folder, a file, -t TITLE.
const words = process.argv.slice(2);
const checks: [title: string, command: string, args: string[]][] = [
  ['lint', 'eslint', ['.']],
  ['format', 'prettier', ['--check', '--log-level', 'warn', '.']],
  ['types', 'tsc', ['--noEmit']],
  ['tests', 'vitest', ['run', ...words]],
];

const failed = checks.filter(([title, command, args]) => {
  console.log(`\n── ${title}: ${[command, ...args].join(' ')}`);
  return spawnSync(`node_modules/.bin/${command}`, args, { stdio: 'inherit' }).status !== 0;
});
if (failed.length > 0) console.error(`\nfailed: ${failed.map(([title]) => title).join(', ')}`);
process.exit(failed.length > 0 ? 1 : 0);
