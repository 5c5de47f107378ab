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
  /** Its options are nobody's business here: none is refused. */
  unparsed?: true;
  /** Loaded when it is called, and with it what it needs: `myrunc --version` needs nothing. */
  load: () => Promise<Run>;
}

const start = {
  bundle: { takes: 'text', short: 'b', value: 'DIR', help: 'directory with config.json (default: this one)' },
  'console-socket': { takes: 'text', value: 'SOCKET', help: 'socket that is to get the terminal' },
  'pid-file': { takes: 'text', value: 'FILE', help: "file for the first process's id" },
  'pidfd-socket': {
    takes: 'text',
    value: 'SOCKET',
    help: 'socket that is to get a descriptor of the process',
  },
  'no-pivot': {
    takes: 'nothing',
    help: 'chroot instead of pivot_root: for a host that runs from its first RAM disk',
  },
  'no-new-keyring': { takes: 'nothing', help: "keep the caller's session keyring" },
  'preserve-fds': { takes: 'number', value: 'N', help: 'descriptors from 3 on that the program is to have' },
} as const satisfies OptionTable;

const one = [1, 1] as const;

function only(table: OptionTable, ...names: string[]): OptionTable {
  return Object.fromEntries(names.map((name) => [name, table[name]!]));
}

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
    options: {
      force: { takes: 'nothing', short: 'f', help: 'end it first (SIGKILL); no error when there is none' },
    },
    words: one,
    load: async () => (await import('./verb-delete.ts')).run,
  },
  run: {
    usage: '[options] ID',
    help: 'create and start a container, wait for it and delete it',
    options: {
      ...start,
      detach: { takes: 'nothing', short: 'd', help: 'end once the program runs' },
      keep: { takes: 'nothing', help: 'do not delete the container when it has ended' },
      'no-subreaper': { takes: 'nothing', help: 'taken for the sake of callers' },
    },
    words: one,
    load: async () => (await import('./verb-run.ts')).run,
  },
  exec: {
    usage: '[options] ID COMMAND...',
    help: 'run one more process in a container',
    options: {
      ...only(start, 'console-socket', 'pid-file', 'pidfd-socket', 'preserve-fds'),
      cwd: { takes: 'text', value: 'DIR', help: 'working directory in the container' },
      env: { takes: 'list', short: 'e', value: 'NAME=VALUE', help: 'one more variable of the environment' },
      tty: { takes: 'nothing', short: 't', help: 'with a terminal' },
      user: { takes: 'text', short: 'u', value: 'UID[:GID]', help: 'as this user' },
      'additional-gids': { takes: 'list', short: 'g', value: 'GID', help: 'one more group' },
      process: { takes: 'text', short: 'p', value: 'FILE', help: 'JSON: the process as config.json has it' },
      detach: { takes: 'nothing', short: 'd', help: 'end once the program runs' },
      'no-new-privs': { takes: 'nothing', help: 'the program can gain no rights by its start' },
      cap: { takes: 'list', short: 'c', value: 'CAP', help: 'one more capability' },
      'ignore-paused': { takes: 'nothing', help: 'also when the container is paused' },
      'process-label': { takes: 'text', value: 'LABEL', help: 'SELinux label, where the kernel has SELinux' },
      apparmor: { takes: 'text', value: 'PROFILE', help: 'AppArmor profile, where the kernel has AppArmor' },
      cgroup: {
        takes: 'list',
        value: '[CONTROLLER:]PATH',
        help: "in this cgroup, which exists, below the container's own",
      },
    },
    words: [1, Infinity],
    mixed: false,
    load: async () => (await import('./verb-exec.ts')).run,
  },
  list: {
    usage: '[options]',
    help: 'list containers',
    options: {
      format: { takes: 'text', short: 'f', help: 'table or json (default: table)' },
      quiet: { takes: 'nothing', short: 'q', help: 'only the ids' },
    },
    words: [0, 0],
    load: async () => (await import('./verb-list.ts')).run,
  },
  ps: {
    usage: '[options] ID [PS-OPTIONS]',
    help: "list a container's processes",
    options: { format: { takes: 'text', short: 'f', help: 'table or json (default: table)' } },
    words: [1, Infinity],
    mixed: false,
    load: async () => (await import('./verb-ps.ts')).run,
  },
  pause: {
    usage: 'ID',
    help: "stop all of a container's processes where they are",
    options: {},
    words: one,
    load: async () => (await import('./verb-pause.ts')).run,
  },
  resume: {
    usage: 'ID',
    help: 'let a paused container go on',
    options: {},
    words: one,
    load: async () => (await import('./verb-pause.ts')).resume,
  },
  update: {
    usage: '[options] ID',
    help: "change a container's limits",
    options: {
      resources: {
        takes: 'text',
        short: 'r',
        value: 'FILE',
        help: 'JSON: linux.resources as in config.json; - is standard input',
      },
      memory: { takes: 'text', value: 'BYTES', help: 'bytes, or such as 50M' },
      'memory-reservation': { takes: 'text', value: 'BYTES', help: 'bytes, or such as 50M' },
      'memory-swap': { takes: 'text', value: 'BYTES', help: 'bytes of memory and swap; -1 is unlimited' },
      'cpu-share': { takes: 'number', help: 'weight against others' },
      'cpu-quota': { takes: 'number', help: 'microseconds in each period' },
      'cpu-period': { takes: 'number', help: 'microseconds' },
      'cpu-rt-runtime': { takes: 'number', help: 'microseconds' },
      'cpu-rt-period': { takes: 'number', help: 'microseconds' },
      'cpuset-cpus': { takes: 'text', value: 'LIST', help: 'processors: 0-2,7' },
      'cpuset-mems': { takes: 'text', value: 'LIST', help: 'memory nodes' },
      'pids-limit': { takes: 'number', help: 'processes; -1 is unlimited' },
      'blkio-weight': { takes: 'number', help: '10 to 1000' },
      'cpu-burst': { takes: 'number', help: 'microseconds that may be saved up' },
      'cpu-idle': { takes: 'number', help: '1: run only when nothing else wants to' },
      'kernel-memory': {
        takes: 'text',
        value: 'BYTES',
        help: 'taken for the sake of callers; kernels have it no more',
      },
      'kernel-memory-tcp': { takes: 'text', value: 'BYTES', help: 'the same' },
      'l3-cache-schema': { takes: 'text', help: 'refused: shares of caches are not done' },
      'mem-bw-schema': { takes: 'text', help: 'refused: shares of memory bandwidth are not done' },
    },
    words: one,
    load: async () => (await import('./verb-update.ts')).run,
  },
  events: {
    usage: '[options] ID',
    help: 'print what a container uses, as JSON',
    options: {
      stats: { takes: 'nothing', help: 'once' },
      interval: { takes: 'text', value: 'TIME', help: 'how often (default: 5s)' },
    },
    words: one,
    load: async () => (await import('./verb-events.ts')).run,
  },
  checkpoint: {
    usage: '[options] ID',
    help: 'not supported: it would take CRIU',
    options: {},
    words: [0, Infinity],
    unparsed: true,
    load: async () => (await import('./verb-checkpoint.ts')).checkpoint,
  },
  restore: {
    usage: '[options] ID',
    help: 'not supported: it would take CRIU',
    options: {},
    words: [0, Infinity],
    unparsed: true,
    load: async () => (await import('./verb-checkpoint.ts')).restore,
  },
  spec: {
    usage: '[options]',
    help: 'write a config.json to begin with',
    options: {
      bundle: start.bundle,
      rootless: { takes: 'nothing', help: 'for a user who is not root' },
    },
    words: [0, 0],
    load: async () => (await import('./verb-spec.ts')).run,
  },
  features: {
    usage: '',
    help: 'print what this runtime can do, as JSON',
    options: {},
    words: [0, 0],
    load: async () => (await import('./verb-features.ts')).run,
  },
};
