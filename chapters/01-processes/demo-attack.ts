import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from './demo-kit.ts';
import { eventually, folderOf, output, sleeps, start } from './demo-support.ts';
import {
  isAlive,
  limitBounding,
  namespacesOf,
  readCmdline,
  readRootAndCwd,
  readSmapsRollup,
  readStat,
  rootOf,
  setCapabilities,
  setNoNewPrivs,
} from './index.ts';

/** Steps about what one process can do to another, and about what a process is not. */

export async function intoRoot(s: Step): Promise<void> {
  const root = folderOf(s);
  mkdirSync(join(root, 'bin'));
  copyFileSync('/usr/bin/busybox', join(root, 'bin', 'busybox'));
  const script =
    'until [ -s /message ]; do busybox sleep 0.05; done; busybox cat /message >/answer; exec busybox sleep 1000';
  const pid = await start(s, ['/usr/sbin/chroot', root, '/bin/busybox', 'sh', '-c', script]);
  await eventually(() => readCmdline(pid)?.[0] === '/bin/busybox');
  s.call(`readlink("/proc/${pid}/root")`, readRootAndCwd(pid)!.root);
  s.evidence('the same path', {
    'for us': existsSync('/message') ? 'there' : 'nothing',
    'for it': existsSync(`${rootOf(pid)}/message`) ? 'there' : 'nothing',
  });
  writeFileSync(`${rootOf(pid)}/message`, 'from outside');
  s.call(`open("${rootOf(pid)}/message", O_CREAT|O_WRONLY)`, 'a descriptor');
  const answer = `${rootOf(pid)}/answer`;
  await eventually(() => existsSync(answer) && readFileSync(answer, 'utf8') !== '');
  s.evidence('it opened /message, and wrote what it found to its own /answer', {
    [answer]: readFileSync(answer, 'utf8'),
  });
  s.claim(
    'a file put into its root from outside was found by it',
    readFileSync(answer, 'utf8') === 'from outside',
  );
  s.claim('and our own root has none', !existsSync('/message') && !existsSync('/answer'));
}

export async function noMachine(s: Step): Promise<void> {
  const started = process.hrtime.bigint();
  const inside = await output(['/bin/sh', '-c', 'cat /proc/sys/kernel/random/boot_id; uname -r']);
  const milliseconds = Number((process.hrtime.bigint() - started) / 1_000_000n);
  const [boot, release] = inside.split('\n');
  const pid = await start(s, ['/bin/sleep', '1000']);
  await eventually(() => sleeps(pid));
  const memory = readSmapsRollup(pid)!;
  s.evidence('a process beside a virtual machine', {
    'its kernel': `${release}, booted as ${boot}: this one. A VM boots another`,
    'its start': `${milliseconds} ms for two programs. A VM: seconds, or a snapshot`,
    'its memory': `${memory['Pss']! / 1024} kB. A VM: what it was promised, and a kernel of its own`,
    'seen from here': `process ${pid}, ${readCmdline(pid)!.join(' ')}. Of a VM one sees a process called qemu`,
    'what divides it from others': 'checks in this kernel. For a VM: the processor, and a few devices',
  });
  s.call('read("/proc/sys/kernel/random/boot_id") in both', boot);
  s.claim(
    'it runs on the very kernel that we run on',
    boot === readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  );
}

/** What a neighbour would try. Each line: what, and what came of it. */
const TRY = `
  try() { what=$1; shift; if out=$("$@" 2>&1); then echo "$what: $out"; else echo "$what: refused"; fi; }
  try "its name" sh -c 'tr "\\0" " " </proc/$0/cmdline' $1
  try "its environment" sh -c 'tr "\\0" "\\n" </proc/$0/environ | grep PASSWORD' $1
  try "its deleted file" cat /proc/$1/fd/7
  try "a file through its root" sh -c 'echo was here >/proc/$0/root$1 && echo written' $1 $2
  try "its life" sh -c 'kill -9 $0 && echo ended' $1
`;

/** Somebody with secrets: in its environment, and in a file that is open and deleted. */
async function victim(s: Step): Promise<{ pid: number; file: string }> {
  const folder = folderOf(s);
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'the key');
  const pid = await start(s, ['/bin/sh', '-c', `exec 7<${secret}; exec sleep 1000`], () => {}, [
    'PASSWORD=hunter2',
  ]);
  await eventually(() => sleeps(pid));
  rmSync(secret);
  return { pid, file: join(folder, 'note') };
}

const attempts = (text: string): Record<string, string> =>
  Object.fromEntries(text.split('\n').map((line) => line.split(': ') as [string, string]));

export async function attack(s: Step): Promise<void> {
  const { pid, file } = await victim(s);
  const got = attempts(await output(['/bin/sh', '-c', TRY, 'sh', String(pid), file]));
  s.call(`open("/proc/${pid}/environ")`, 'a descriptor');
  s.call(`open("/proc/${pid}/fd/7")`, 'a descriptor');
  s.call(`open("${rootOf(pid)}${file}", O_CREAT)`, 'a descriptor');
  s.call(`kill(${pid}, SIGKILL)`, 0);
  await eventually(() => readStat(pid)?.state === 'Z');
  s.evidence('what a stranger got', got);
  s.claim(
    'without isolation root reads every process',
    got['its environment'] === 'PASSWORD=hunter2' && got['its deleted file'] === 'the key',
  );
  s.claim('writes where it writes, and ends it', existsSync(file) && readStat(pid)?.state === 'Z');
}

export async function remedy(s: Step): Promise<void> {
  const { pid, file } = await victim(s);
  const argv = ['/bin/sh', '-c', TRY, 'sh', String(pid), file];
  const other = attempts(
    await output(
      ['/usr/bin/setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', ...argv],
      setNoNewPrivs,
    ),
  );
  s.call('setresuid(65534, 65534, 65534), prctl(PR_SET_NO_NEW_PRIVS)', 0);
  s.evidence('the same, as another user', other);
  s.claim(
    'its secrets, its files and its life are safe from another user',
    isAlive(pid) &&
      !existsSync(file) &&
      Object.values(other).filter((what) => what === 'refused').length === 4,
  );
  const none = attempts(
    await output(argv, () => {
      limitBounding([]);
      setCapabilities({ effective: [], permitted: [], inheritable: [] });
    }),
  );
  s.call('prctl(PR_CAPBSET_DROP, …) for all, capset(…)', 0);
  s.evidence('as user 0 without a single capability', none);
  await eventually(() => readStat(pid)?.state === 'Z');
  s.claim(
    'user 0 without capabilities may not look into user 0 with them',
    none['its environment'] === 'refused' && none['its deleted file'] === 'refused',
  );
  s.claim('but the same user may still end it', readStat(pid)?.state === 'Z');
  s.claim('and everyone sees its name', other['its name']?.startsWith('sleep 1000') === true);
  const own = namespacesOf('self')!;
  s.note(
    `what is left is to see nobody: that is the next chapter. All of these shared ${own['pid']} and ${own['mnt']}`,
  );
}
