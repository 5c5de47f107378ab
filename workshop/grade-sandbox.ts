import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createCgroup, detectCgroups, type Cgroup } from '../chapters/03-cgroups/index.ts';
import { saidBy } from './check.ts';
import type { Gap } from './gaps.ts';
import { bundleJudge } from './judge-bundle.ts';
import type { Verdict } from './judge.ts';

/** What one check may use, and no more. */
export interface Limits {
  /** of the check, in seconds of the clock */
  seconds: number;
  /** bytes, with the files that it writes: they are in memory */
  memory: number;
  /** processes and threads */
  pids: number;
  /** processors */
  cpus: number;
}

export const LIMITS: Limits = { seconds: 30, memory: 768 * 1024 * 1024, pids: 256, cpus: 1 };

export interface SandboxOptions {
  seed: number;
  limits?: Limits;
  /** The reference as `referenceTree` has laid it out; beside it there is an empty folder `top`, where each sandbox mounts its own. */
  reference: string;
  /** node_modules of the workshop. */
  modules: string;
  /** Folders that the code must not see: submissions, results, the reference's own place. */
  hidden?: readonly string[];
  signal?: AbortSignal;
}

/** What the cgroups of grading are called; then the grader's process id follows, and a word by chance. */
export const CGROUP = 'byod-grade';

/**
 * Judges one gap, filled by `file` (the whole text of its file), in a machine of its own, so far as one kernel can give it: a root
 * whose every write goes to memory (overlayfs over the machine's root, then pivot_root), namespaces for mounts, processes, network, names,
 * IPC and cgroups, no block devices, and a cgroup with limits. Everything is gone when this returns. Never throws for what the code does.
 *
 * The code still runs as root beside the checks, because they need it: this stops accidents and mischief, not a kernel exploit.
 */
export async function judgeApart(
  gap: Pick<Gap, 'id' | 'chapter' | 'file'>,
  file: string,
  options: SandboxOptions,
): Promise<Verdict> {
  const { limits = LIMITS, signal } = options;
  if (signal?.aborted) throw new Error('interrupted');
  const bundle = await bundleJudge({
    tree: options.reference,
    chapter: gap.chapter,
    judge: 'grade-judge.ts',
    seenAs: '/grade/tree',
    instead: new Map([[gap.file, file]]),
  });
  if ('verdict' in bundle) return bundle.verdict;
  const seal = randomBytes(24).toString('hex');
  const hand = mkdtempSync(join(dirname(options.reference), 'hand-'));
  writeFileSync(join(hand, 'file'), file);
  writeFileSync(join(hand, 'judge.mjs'), bundle.code);
  const cgroup = createCgroup(
    `/${CGROUP}-${process.pid}-${randomBytes(4).toString('hex')}`,
    resources(limits),
  );
  let child: ChildProcess | undefined;
  try {
    // What grading is killed by, kills the sandbox too.
    child = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'sh', '-c', ENTER, 'grade', ...words(gap, hand, options)],
      {
        stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
        cwd: '/',
        env: { PATH: process.env['PATH'] ?? '', HOME: '/root', LANG: 'C.UTF-8' },
      },
    );
    const ended = outcome(child, limits.seconds, () => cgroup.kill(), signal);
    if (child.pid) {
      cgroup.add(child.pid);
      child.stdin!.on('error', () => undefined); // it ended before it read: outcome() tells how
      // The first line lets the script begin; what is left, the seal, is for the judge.
      child.stdin!.end(`go\n${seal}\n`);
    }
    const { answer, status, late, printed } = await ended;
    if (signal?.aborted) throw new Error('interrupted');
    return verdictOf({ answer, status, printed, late, seal, limits, cgroup });
  } finally {
    cgroup.kill();
    cgroup.remove();
    rmSync(hand, { recursive: true, force: true });
  }
}

const resources = ({ memory, pids, cpus }: Limits): Parameters<typeof createCgroup>[1] => {
  const { controllers } = detectCgroups();
  return {
    memory: { limit: memory },
    pids: { limit: pids },
    cpu: { quota: Math.round(cpus * 100_000), period: 100_000 },
    ...(controllers.includes('devices') && {
      devices: [{ allow: false, type: 'b', access: 'rw' }],
    }),
  };
};

function words(gap: Pick<Gap, 'id' | 'file'>, hand: string, options: SandboxOptions): string[] {
  const host = detectCgroups();
  const trees = host.hierarchies.map(
    ({ mountPoint, controllers, name }) =>
      `${mountPoint.slice(mountPoint.lastIndexOf('/') + 1)}:cgroup:${[...controllers, ...(name ? ['none', `name=${name}`] : [])].join()}`,
  );
  if (host.unified) trees.push(`${host.layout === 'v2' ? '.' : 'unified'}:cgroup2:rw`);
  return [
    SANDBOX,
    options.reference,
    options.modules,
    gap.file,
    trees.join(' '),
    (options.hidden ?? []).join('\n'),
    process.execPath,
    hand,
    gap.id,
    String(options.seed),
  ];
}

/** Waits for the line that says that this process is in its cgroup, then leaves the machine's namespaces. */
const ENTER = `
read -r go
inside=$1
exec unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child --propagation private sh -c "$inside" grade "$@"
`;

/** Runs as process 1. $2 reference, $3 node_modules, $4 file, $5 trees of cgroups, $6 hidden paths, $7 node, $8 what is laid in, $9… the judge's words. */
const SANDBOX = `
set -e
top=\${2%/*}/top
mount -t tmpfs -o size=512m,mode=755 grade "$top"
mkdir "$top/upper" "$top/work" "$top/root" "$top/upper/grade"
cp -a "$2" "$top/upper/grade/tree"
cp "$8/file" "$top/upper/grade/tree/$4"
cp "$8/judge.mjs" "$top/upper/grade/tree/judge.mjs"
mkdir "$top/upper/grade/tree/node_modules"
printf '%s\\n' "$6" | while read -r path; do
  # A whiteout: for whom looks from inside, the path is not there.
  [ -n "\${path#/}" ] && mkdir -p "$top/upper\${path%/*}" && mknod "$top/upper$path" c 0 0 || :
done
mount -t overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" overlay "$top/root"
cd "$top/root"
mount --bind "$3" grade/tree/node_modules
mount -o remount,bind,ro grade/tree/node_modules
mount -t tmpfs -o mode=1777 tmp tmp
mkdir -p run
mount -t tmpfs -o mode=755 run run
mount -t proc proc proc
for name in sys/kernel sys/vm sys/fs sysrq-trigger; do
  mount --bind proc/$name proc/$name && mount -o remount,bind,ro proc/$name || :
done
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 cgroups sys/fs/cgroup
for tree in $5; do
  name=\${tree%%:*} rest=\${tree#*:}
  [ "$name" = . ] || mkdir "sys/fs/cgroup/$name"
  mount -t "\${rest%%:*}" -o "\${rest#*:}" cgroup "sys/fs/cgroup/$name"
  if [ "$name" = . ]; then
    mkdir sys/fs/cgroup/judge
    echo 1 > sys/fs/cgroup/judge/cgroup.procs
    for c in $(cat sys/fs/cgroup/cgroup.controllers); do echo "+$c" > sys/fs/cgroup/cgroup.subtree_control || :; done
  fi
done
mount -t tmpfs -o mode=755 dev dev
for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
  name=\${node%% *} numbers=\${node#* }
  mknod -m 666 "dev/$name" c $numbers
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
ip link set lo up || :
mkdir grade/old
pivot_root . grade/old
cd /
umount -l /grade/old
node=$7
shift 8
exec setpriv --bounding-set=-sys_boot,-sys_module,-sys_rawio,-sys_time,-syslog \\
  "$node" --single-threaded --enable-source-maps /grade/tree/judge.mjs /grade/tree "$@"
`;

interface Outcome {
  answer: string;
  printed: string;
  status: number | null;
  late: boolean;
}

function outcome(
  child: ChildProcess,
  seconds: number,
  end: () => void,
  signal?: AbortSignal,
): Promise<Outcome> {
  const said = { answer: '', printed: '' };
  const keep = (name: keyof typeof said, most: number) => (data: Buffer) =>
    void (said[name] = (said[name] + data.toString()).slice(-most));
  child.stdout!.on('data', keep('printed', 20_000));
  child.stderr!.on('data', keep('printed', 20_000));
  child.stdio[3]!.on('data', keep('answer', 200_000));
  let late = false;
  const stop = (): void => {
    try {
      end();
    } finally {
      child.kill('SIGKILL');
    }
  };
  const timer = setTimeout(() => {
    late = true;
    stop();
  }, seconds * 1000);
  signal?.addEventListener('abort', stop, { once: true });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ ...said, status, late }));
  }).finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }) as Promise<Outcome>;
}

function verdictOf(of: Outcome & { seal: string; limits: Limits; cgroup: Cgroup }): Verdict {
  const { answer, status, printed, late, seal, limits, cgroup } = of;
  const { memory, pids } = cgroup.stats();
  const records = answer.split('\n').filter(Boolean);
  const sealed = records.filter((record) => record.startsWith(`${seal} `));
  const error = (message: string, where?: string): Verdict => ({
    verdict: 'error',
    message,
    ...(where && { where }),
  });
  if (memory.oomKills > 0 && sealed.length === 0)
    return error(`it used more than ${limits.memory / 1024 / 1024} MB of memory`);
  if (late)
    return error(
      `it did not end within ${limits.seconds} s${pids.refused > 0 ? `, with ${limits.pids} processes` : ''}`,
    );
  if (records.length > sealed.length) return error('it wrote to the descriptor of the verdict: a forgery');
  if (sealed.length > 1)
    return error('the check was ended by two processes: a child came back as a second parent');
  if (sealed.length === 1 && status === 64 + (parseInt(seal.slice(0, 2), 16) % 64))
    return JSON.parse(sealed[0]!.slice(seal.length + 1)) as Verdict;
  const said = saidBy(printed, `it ended with status ${status} before the check was over`);
  return error(said.message, said.where);
}
