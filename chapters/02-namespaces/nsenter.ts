import { existsSync } from 'node:fs';
import { singleThreaded } from '../01-processes/index.ts';
import { enterAndRun, inOurWords, otherNamespacesOf, type EnterRequest } from './enter.ts';
import { getopt, UsageError, type GivenOption, type OptionSpec } from './getopt.ts';
import { namespacePath, type NamespaceKind } from './namespaces.ts';

// nsenter(1) of our own: `npx tsx chapters/02-namespaces/nsenter.ts [options] [PROGRAM [ARGUMENT…]]`.

const USAGE = `usage: tsx nsenter.ts [options] [PROGRAM [ARGUMENT...]]
Runs a program, or a shell, in namespaces of another process.
  -t, --target PID         the process to take them from
  -a, --all                all that are not our own
  -m, --mount[=FILE]       the mount namespace, of the target or pinned at FILE; likewise:
  -u, --uts    -i, --ipc    -n, --net    -p, --pid    -C, --cgroup    -U, --user    -T, --time
  -S, --setuid UID         become this user;  -G, --setgid GID: of this group
      --preserve-credentials  do not become root in a user namespace
  -r, --root[=DIR]         with the target's root, or DIR, as the root
  -w, --wd[=DIR]           with the target's working directory, or DIR
  -F, --no-fork            no child, though a pid namespace is joined
  -h, --help               this text
`;

/** The options that name a namespace: letter, long name, kind. */
const KINDS: readonly (readonly [short: string, long: string, kind: NamespaceKind])[] = [
  ['m', 'mount', 'mnt'],
  ['u', 'uts', 'uts'],
  ['i', 'ipc', 'ipc'],
  ['n', 'net', 'net'],
  ['p', 'pid', 'pid'],
  ['C', 'cgroup', 'cgroup'],
  ['U', 'user', 'user'],
  ['T', 'time', 'time'],
];

const OPTIONS: readonly OptionSpec[] = [
  ...KINDS.map(([short, long]): OptionSpec => ({ short, long, value: 'optional' })),
  { short: 't', long: 'target', value: 'required' },
  { short: 'a', long: 'all' },
  { short: 'S', long: 'setuid', value: 'required' },
  { short: 'G', long: 'setgid', value: 'required' },
  { long: 'preserve-credentials' },
  { short: 'r', long: 'root', value: 'optional' },
  { short: 'w', long: 'wd', value: 'optional' },
  { short: 'F', long: 'no-fork' },
  { short: 'h', long: 'help' },
];

function main(args: readonly string[]): number {
  const { options, rest } = getopt(args, OPTIONS);
  if (options.some(({ name }) => name === 'help')) {
    process.stdout.write(USAGE);
    return 0;
  }
  const shell = process.env['SHELL'] ?? '/bin/sh';
  return enterAndRun(parseRequest(options), rest.length > 0 ? rest : [shell]);
}

/** Says everything that is wrong with a command line before the first namespace is joined. */
function parseRequest(options: readonly GivenOption[]): EnterRequest {
  const find = (name: string): GivenOption | undefined => options.findLast((option) => option.name === name);
  const target = find('target') && parseNumber('pid', find('target')!.value!);
  if (target !== undefined && !existsSync(`/proc/${target}`)) throw new Error(`no such process: ${target}`);
  /** What an option says by itself, or what it means for the target. */
  const place = (name: string, ofTarget: (pid: number) => string, what = name): string | undefined => {
    const option = find(name);
    if (!option) return undefined;
    if (option.value) return option.value;
    if (target === undefined) throw new Error(`neither filename nor target pid supplied for ${what}`);
    return ofTarget(target);
  };
  if (find('all') && target === undefined) throw new Error('no target PID specified for --all');
  const paths = find('all') ? otherNamespacesOf(target!) : {};
  for (const [, long, kind] of KINDS) {
    const path = place(long, (pid) => namespacePath(pid, kind), `ns/${kind}`);
    if (path !== undefined) paths[kind] = path;
  }
  const [root, workingDirectory] = [
    place('root', (pid) => `/proc/${pid}/root`),
    place('wd', (pid) => `/proc/${pid}/cwd`),
  ];
  const [uid, gid] = [find('setuid'), find('setgid')];
  return {
    paths,
    ...(root !== undefined && { root }),
    ...(workingDirectory !== undefined && { workingDirectory }),
    ...(uid && { uid: parseNumber('uid', uid.value!) }),
    ...(gid && { gid: parseNumber('gid', gid.value!) }),
    preserveCredentials: find('preserve-credentials') !== undefined,
    ...(find('no-fork') && { fork: false }),
  };
}

function parseNumber(what: string, text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new Error(`failed to parse ${what}: '${text}'`);
  return Number(text);
}

/** From here on: parse, enter, and end with the status of what ran. */
async function start(): Promise<void> {
  await singleThreaded();
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    const help = error instanceof UsageError ? `\nTry 'nsenter --help' for more information.` : '';
    process.stderr.write(`nsenter: ${inOurWords(error)}${help}\n`);
    process.exitCode = 1;
  }
}

void start();
