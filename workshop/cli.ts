import { Command } from 'commander';
import chalk from 'chalk';
import { beginCommand } from './commands/begin.ts';
import { bookCommand } from './commands/book.ts';
import { checkCommand } from './commands/check.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { gradeCommand } from './commands/grade.ts';
import { hintCommand } from './commands/hint.ts';
import { progressCommand } from './commands/progress.ts';
import { proveCommand } from './commands/prove.ts';
import { resetCommand } from './commands/reset.ts';
import { solutionCommand } from './commands/solution.ts';
import { watchCommand } from './commands/watch.ts';
import { Refused } from './learner.ts';

// The learner's tools: `npm run begin`, `npm run check`, … A command a file.
const program = new Command('npm run').description('The tools of the workshop.').showHelpAfterError();
for (const command of [
  beginCommand,
  checkCommand,
  watchCommand,
  hintCommand,
  solutionCommand,
  resetCommand,
  progressCommand,
  demoCommand,
  doctorCommand,
  proveCommand,
  gradeCommand,
  bookCommand,
])
  program.addCommand(command());

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(`${chalk.red('✗')} ${error.message}`);
  process.exitCode = 2;
}
