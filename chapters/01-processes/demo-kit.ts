import { createInterface } from 'node:readline/promises';
import { relative } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { constants } from 'node:os';
import chalk from 'chalk';
import { singleThreaded } from './fork.ts';

/** What one step showed: the data behind `--json`. */
export interface StepRecord {
  title: string;
  why: string;
  calls: { call: string; result: string }[];
  evidence: { what: string; values: Record<string, string> }[];
  notes: string[];
  claims: { claim: string; held: boolean }[];
  cleanup: string[];
}

/** Where something made by a demo is noted, to be taken away again. */
export interface Cleaner {
  /** Notes how to take away what was just made. Run in reverse order, also after a failure or Ctrl-C. */
  cleanup(what: string, undo: () => void | Promise<void>): void;
}

export interface Step extends Cleaner {
  /** A system call as it was made, and what it returned. */
  call(call: string, result: unknown): void;
  /** Facts side by side: the host's view, the container's view. */
  evidence(what: string, values: Record<string, unknown>): void;
  /** A plain sentence; also what this machine cannot show. */
  note(text: string): void;
  /** Something that must be true. The demo fails if it is not. */
  claim(text: string, held: boolean): void;
}

export interface Demo extends Cleaner {
  /** Acts out one step; its clean-up runs before the next one begins. */
  step(title: string, of: { why: string; run: (step: Step) => void | Promise<void> }): Promise<void>;
}

/**
 * A lesson acted out on the running kernel, as a program: checks the arguments and the rights, acts, and ends the process: status 0
 * when every claim held, 1 when one did not or a step threw, 2 for a wrong argument, 128 + n after signal n.
 *
 * `--step` waits for Enter between steps, `--json` prints the same as data.
 */
export async function demo(title: string, body: (demo: Demo) => Promise<void>): Promise<never> {
  const options = parseArguments();
  if (process.getuid?.() !== 0) {
    const script = relative(process.cwd(), process.argv[1] ?? 'demo.ts');
    process.stderr.write(`This demo makes real system calls. Run it as root: sudo npx tsx ${script}\n`);
    process.exit(1);
  }
  await singleThreaded();
  const interrupt = interruptSignal();
  const held = await act(title, body, { ...options, signal: interrupt });
  process.exit(
    interrupt.aborted ? 128 + constants.signals[interrupt.reason as NodeJS.Signals] : held ? 0 : 1,
  );
}

/** Aborted, with the signal's name as its reason, when someone wants this program to end: Ctrl-C, kill, a closed terminal or pipe. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => controller.abort(signal));
  // Whoever read our output has gone, as `| head` does: there is nobody left to show anything to.
  process.stdout.on('error', () => controller.abort('SIGPIPE'));
  return controller.signal;
}

/**
 * Acts out steps and prints each: WHY, CALL, EVIDENCE, CLEAN-UP. Returns whether every claim held, no step threw and everything was
 * taken away. Aborted, it takes away what was made and returns false, whatever the step is waiting for.
 */
export async function act(
  title: string,
  body: (demo: Demo) => Promise<void>,
  options: { step?: boolean; json?: boolean; signal?: AbortSignal } = {},
): Promise<boolean> {
  const steps: StepRecord[] = [];
  const atEnd = undoStack();
  let atStepEnd = undoStack();
  const show = options.json ? silent : printer();
  const { signal } = options;
  const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));

  const cleanUp = async (record?: StepRecord): Promise<boolean> => {
    const clean = (what: string): void => {
      record?.cleanup.push(what);
      show.cleanup(what);
    };
    const problems = [...(await atStepEnd.undo(clean)), ...(record ? [] : await atEnd.undo(clean))];
    for (const problem of problems) process.stderr.write(`clean-up failed: ${problem}\n`);
    return problems.length === 0;
  };
  // What is made while an aborted demo is being taken away is taken away at once.
  const note = (stack: UndoStack, what: string, undo: () => void | Promise<void>): void => {
    stack.push(what, undo);
    if (signal?.aborted) void stack.undo(() => undefined);
  };

  let failed = false;
  show.title(title);
  const acting = body({
    cleanup: (what, undo) => note(atEnd, what, undo),
    step: async (stepTitle, { why, run }) => {
      if (signal?.aborted) return never();
      if (options.step && steps.length > 0) await pressEnter();
      const record: StepRecord = {
        title: stepTitle,
        why,
        calls: [],
        evidence: [],
        notes: [],
        claims: [],
        cleanup: [],
      };
      steps.push(record);
      show.step(steps.length, record);
      const undo = (atStepEnd = undoStack());
      try {
        await run({
          cleanup: (what, fn) => note(undo, what, fn),
          call: (call, result) => {
            record.calls.push({ call, result: String(result) });
            show.call(call, String(result));
          },
          evidence: (what, values) => {
            const strings = Object.fromEntries(Object.entries(values).map(([k, v]) => [k, String(v)]));
            record.evidence.push({ what, values: strings });
            show.evidence(what, strings);
          },
          note: (text) => {
            record.notes.push(text);
            show.note(text);
          },
          claim: (claim, held) => {
            record.claims.push({ claim, held });
            if (!held) failed = true;
            show.claim(claim, held);
          },
        });
        await setImmediate(); // a step that only makes system calls leaves no other moment in which Ctrl-C is heard
      } finally {
        if (!signal?.aborted && !(await cleanUp(record))) failed = true;
      }
    },
  });
  acting.catch((error: unknown) => {
    failed = true;
    if (!signal?.aborted) process.stderr.write(`${chalk.red('failed')}: ${describe(error)}\n`);
  });
  await Promise.race([acting.catch(() => undefined), aborted]);
  if (signal?.aborted) failed = true;
  if (!(await cleanUp())) failed = true;
  const claims = steps.flatMap((step) => step.claims);
  if (claims.length === 0) failed = true; // a demo that claims nothing has shown nothing
  if (options.json) process.stdout.write(`${JSON.stringify({ title, held: !failed, steps }, null, 2)}\n`);
  else show.end(claims.filter((c) => c.held).length, claims.length, failed);
  return !failed;
}

const never = (): Promise<never> => new Promise(() => undefined);

function parseArguments(): { step: boolean; json: boolean } {
  const known = new Set(['--step', '--json']);
  const given = process.argv.slice(2);
  const unknown = given.find((argument) => !known.has(argument));
  if (unknown !== undefined) {
    const help = unknown === '--help' || unknown === '-h';
    const text = `usage: tsx ${relative(process.cwd(), process.argv[1] ?? 'demo.ts')} [--step] [--json]
  --step  wait for Enter between steps
  --json  print what was shown as data\n`;
    (help ? process.stdout : process.stderr).write(help ? text : `unknown argument ${unknown}\n${text}`);
    process.exit(help ? 0 : 2);
  }
  return { step: given.includes('--step'), json: given.includes('--json') };
}

/** Waits for Enter, or the end of standard input, for `what`. Ctrl-C at the prompt is the signal that it is elsewhere. */
export async function pressEnter(what = 'the next step'): Promise<void> {
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  // readline takes Ctrl-C from the terminal; hand it on as the signal that it is.
  prompt.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  const closed = new Promise<void>((resolve) => prompt.once('close', resolve));
  await Promise.race([prompt.question(chalk.dim(`\n   Enter for ${what} `)), closed]);
  prompt.close();
}

/** Undo actions, last made first undone. One that fails does not keep the others from running. */
interface UndoStack {
  push(what: string, undo: () => void | Promise<void>): void;
  /** Empties the stack, telling each action that was done; returns what failed. */
  undo(each: (what: string) => void): Promise<string[]>;
}

function undoStack(): UndoStack {
  const actions: { what: string; undo: () => void | Promise<void> }[] = [];
  return {
    push: (what, undo) => void actions.push({ what, undo }),
    undo: async (each) => {
      const problems: string[] = [];
      for (let action; (action = actions.pop());) {
        try {
          await action.undo();
          each(action.what);
        } catch (error) {
          problems.push(`${action.what}: ${describe(error)}`);
        }
      }
      return problems;
    },
  };
}

const silent = {
  title: (_title: string): void => {},
  step: (_number: number, _record: StepRecord): void => {},
  call: (_call: string, _result: string): void => {},
  evidence: (_what: string, _values: Record<string, string>): void => {},
  note: (_text: string): void => {},
  claim: (_text: string, _held: boolean): void => {},
  cleanup: (_what: string): void => {},
  end: (_held: number, _all: number, _failed: boolean): void => {},
};

/** Writes each step as it happens, a label at the start of each kind of line. */
function printer(): typeof silent {
  let last = '';
  const line = (label: string, text: string): void => {
    const lead = label === last ? ' '.repeat(11) : `  ${chalk.bold(label.padEnd(9))}`;
    last = label;
    process.stdout.write(`${lead}${text.replaceAll('\n', `\n${' '.repeat(11)}`)}\n`);
  };
  return {
    title: (title) => process.stdout.write(`${chalk.bold(title)}\n`),
    step: (number, { title, why }) => {
      last = '';
      process.stdout.write(`\n${chalk.bold.cyan(`${number}. ${title}`)}\n`);
      line('WHY', why);
    },
    call: (call, result) => line('CALL', `${chalk.yellow(call)} = ${result}`),
    evidence: (what, values) => {
      const width = Math.max(...Object.keys(values).map((key) => key.length));
      line(
        'EVIDENCE',
        [what, ...Object.entries(values).map(([key, v]) => `  ${chalk.dim(key.padEnd(width))}  ${v}`)].join(
          '\n',
        ),
      );
    },
    note: (text) => line('NOTE', text),
    claim: (text, held) => line('EVIDENCE', held ? `${chalk.green('✓')} ${text}` : chalk.red(`✗ ${text}`)),
    cleanup: (what) => line('CLEAN-UP', what),
    end: (held, all, failed) => {
      const broken = held < all ? `${all - held} of ${all} claims did not hold.` : 'The demo failed.';
      process.stdout.write(`\n${failed ? chalk.red(broken) : chalk.green(`All ${all} claims held.`)}\n`);
    },
  };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${describe(error.cause)}` : error.message;
}
