import { spawnSync } from 'node:child_process';

/**
 * Run first in new mount and pid namespaces: a /dev and a /sys/fs/cgroup that are copies, so that what a suite changes there, or leaves
 * behind, ends with it. The cgroup trees themselves are the machine's.
 */
const PRIVATE_PLACES = `
set -e
dev=$(mktemp -d) && mount -t tmpfs -o mode=755 dev "$dev"
mkdir "$dev/pts" "$dev/shm"
for entry in /dev/*; do
  case "$entry" in /dev/pts|/dev/shm|/dev/mqueue|/dev/hugepages) ;; *) cp -a "$entry" "$dev/" ;; esac
done
mkdir -p "$dev/mqueue"
mount --bind /dev/pts "$dev/pts" && mount --bind /dev/shm "$dev/shm"
mount --move "$dev" /dev && rmdir "$dev"
if [ "$(stat -fc %T /sys/fs/cgroup)" = tmpfs ]; then
  top=$(mktemp -d) && mount -t tmpfs -o mode=755 cgroup "$top"
  for tree in /sys/fs/cgroup/*; do
    name=$(basename "$tree")
    if [ -L "$tree" ]; then cp -a "$tree" "$top/"; elif mountpoint -q "$tree"; then mkdir "$top/$name" && mount --move "$tree" "$top/$name"; fi
  done
  mount --move "$top" /sys/fs/cgroup && rmdir "$top"
fi
exec "$@"`;

/** What a program said, and how it ended. */
export interface Ran {
  /** `null` when it was ended, at the time limit. */
  status: number | null;
  output: string;
}

/** Runs a program where nothing that it leaves behind reaches the machine; what still runs at its end, or at the time limit, is killed. */
export function inSandbox(
  command: readonly string[],
  { cwd, env, limit }: { cwd: string; env: NodeJS.ProcessEnv; limit: number },
): Ran {
  const { status, stdout, error } = spawnSync(
    'unshare',
    [
      '-mpf',
      '--kill-child',
      '--propagation',
      'private',
      '--mount-proc',
      'bash',
      '-c',
      `${PRIVATE_PLACES}`,
      'bash',
      ...command,
    ],
    {
      cwd,
      env,
      timeout: limit,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 2 ** 28,
    },
  );
  if (error && (error as NodeJS.ErrnoException).code !== 'ETIMEDOUT') throw error;
  return { status, output: stdout };
}

/** Runs a program to its end. @throws Error with what it printed */
export function must(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (error) throw new Error(`${command} is not here: the suites need it`, { cause: error });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stdout}${stderr}`);
}
