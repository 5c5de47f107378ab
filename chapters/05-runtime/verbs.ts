import type { Context } from './context.ts';
import type { OptionTable } from './options.ts';

/** What a verb's options are once they are read: each verb knows its own. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Values = any;

/** What a verb does. Returns the exit status, 0 if nothing. */
export type Run = (
  context: Context,
  options: Values,
  words: readonly string[],
) => number | void | Promise<number | void>;

/** One verb of the command line. */
export interface Verb {
  usage: string;
  help: string;
  options: OptionTable;
  /** How many words beside the options: at least, at most. */
  words: readonly [number, number];
  /** Whether options may follow words. Default: yes. */
  mixed?: boolean;
  /** Loaded when it is called, and with it what it needs: `myrunc --version` needs nothing. */
  load: () => Promise<Run>;
}

const start = {
  bundle: { takes: 'text', short: 'b', value: 'DIR', help: 'directory with config.json (default: this one)' },
  'console-socket': { takes: 'text', value: 'SOCKET', help: 'socket that is to get the terminal' },
  'pid-file': { takes: 'text', value: 'FILE', help: "file for the first process's id" },
  'no-pivot': { takes: 'nothing', help: 'chroot instead of pivot_root: for a host that runs from its first RAM disk' },
  'no-new-keyring': { takes: 'nothing', help: "keep the caller's session keyring" },
  'preserve-fds': { takes: 'number', value: 'N', help: 'descriptors from 3 on that the program is to have' },
} as const satisfies OptionTable;

const one = [1, 1] as const;

/** The command line of runc, as a table. */
export const VERBS: Readonly<Record<string, Verb>> = {
  create: {
    usage: '[options] ID',
    help: 'make a container, whose program waits',
    options: start,
    words: one,
    load: async () => (await import('./verb-create.ts')).run,
  },
  start: {
    usage: 'ID',
    help: 'let the program of a created container begin',
    options: {},
    words: one,
    load: async () => (await import('./verb-start.ts')).run,
  },
  state: {
    usage: 'ID',
    help: 'print the state of a container',
    options: {},
    words: one,
    load: async () => (await import('./verb-state.ts')).run,
  },
  kill: {
    usage: '[options] ID [SIGNAL]',
    help: 'send a signal (default: SIGTERM) to the first process of a container',
    options: { all: { takes: 'nothing', short: 'a', help: 'to all of its processes' } },
    words: [1, 2],
    load: async () => (await import('./verb-kill.ts')).run,
  },
  delete: {
    usage: '[options] ID',
    help: 'take away what a stopped container has left',
    options: { force: { takes: 'nothing', short: 'f', help: 'end it first (SIGKILL); no error when there is none' } },
    words: one,
    load: async () => (await import('./verb-delete.ts')).run,
  },
};
