import { Command } from 'commander';
import chalk from 'chalk';
import { Interrupted, takenByNpm } from './command.ts';
import { Refused } from './learner.ts';

// The learner's and the instructor's tools: `npm run begin`, `npm run check`, … A command a file; only the one that is asked for is loaded.
const COMMANDS: Record<string, () => Promise<Command>> = {
  begin: async () => (await import('./commands/begin.ts')).beginCommand(),
  check: async () => (await import('./commands/check.ts')).checkCommand(),
  watch: async () => (await import('./commands/watch.ts')).watchCommand(),
  hint: async () => (await import('./commands/hint.ts')).hintCommand(),
  solution: async () => (await import('./commands/solution.ts')).solutionCommand(),
  reset: async () => (await import('./commands/reset.ts')).resetCommand(),
  progress: async () => (await import('./commands/progress.ts')).progressCommand(),
  demo: async () => (await import('./commands/demo.ts')).demoCommand(),
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand(),
  prove: async () => (await import('./commands/prove.ts')).proveCommand(),
  grade: async () => (await import('./commands/grade.ts')).gradeCommand(),
  book: async () => (await import('./commands/book.ts')).bookCommand(),
};

const program = new Command('npm run').description('The tools of the workshop.').showHelpAfterError();
const asked = Object.hasOwn(COMMANDS, process.argv[2] ?? '') ? [process.argv[2]!] : Object.keys(COMMANDS);
for (const name of asked) program.addCommand(await COMMANDS[name]!());

// Whoever reads what is printed may go, as `| head` does.
process.stdout.on('error', () => process.exit(0));
try {
  if (asked.length === 1) takenByNpm(program.commands[0]!);
  await program.parseAsync();
} catch (error) {
  if (error instanceof Interrupted) {
    console.error(chalk.yellow(`${process.stderr.isTTY ? '\n' : ''}${error.message}`));
    process.exitCode = error.status;
  } else if (error instanceof Refused) {
    console.error(`${chalk.red('✗')} ${error.message}`);
    process.exitCode = 2;
  } else throw error;
}
