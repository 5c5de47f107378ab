import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  CAPABILITIES,
  DOCKER_CAPABILITIES,
  demo,
  dup2,
  execve,
  exitCode,
  fork,
  formatPstree,
  getpid,
  isAlive,
  kill,
  limitBounding,
  namespacesOf,
  openPty,
  pipe,
  processTree,
  readCapabilities,
  readStat,
  readStatus,
  rootOf,
  setCapabilities,
  setControllingTerminal,
  setNoNewPrivs,
  setsid,
  setSubreaper,
  setWindowSize,
  SIGNALS,
  signalName,
  subtree,
  waitAsync,
  type Step,
} from './index.ts';

await demo('01 processes: a container is a process', async (d) => {
  await d.step('A process is a folder in /proc', {
    why: 'Whatever Docker tells about a container, it reads here. There is no other place.',
    run: folder,
  });
  await d.step('fork, exec, wait', {
    why: 'A copy of this program, then another program in its place, then its last word: the exit status.',
    run: lifetime,
  });
  await d.step('A zombie', {
    why: 'An ended process stays in the table until its parent has asked for the status. PID 1 of a container that never asks fills the table.',
    run: zombie,
  });
  await d.step('An orphan finds a parent', {
    why: 'When a parent ends, its children go to PID 1, or to the nearest subreaper above. That is how a shim keeps a container after runc has gone.',
    run: orphan,
  });
  await d.step('A terminal', {
    why: 'docker run -it: the shim holds one end, and the container takes the other for a terminal. Ctrl-C is a byte on one side and a signal on the other.',
    run: terminal,
  });
  await d.step('Root in pieces: capabilities', {
    why: 'The kernel never asks “is it root?” but “has it this capability?”. A container’s root has 14 of 41.',
    run: capabilities,
  });
  await d.step('Attack: what root reaches without isolation', {
    why: 'A process with its own program and its own user is still in the same world as all others.',
    run: attack,
  });
});

/** Starts a program; it is ended with the step. Returns when it runs. */
async function start(s: Step, argv: string[], before: () => void = () => {}): Promise<number> {
  const pid = fork(() => {
    before();
    execve(argv[0]!, argv, ['PATH=/bin:/usr/bin']);
  });
  endWithStep(s, pid);
  await eventually(() => readStat(pid)?.comm !== readStat('self')!.comm);
  return pid;
}

/** Ends a child with the step, if it has not ended by then: also when the demo is interrupted in the middle of it. */
function endWithStep(s: Step, pid: number): void {
  s.cleanup(`end process ${pid}`, async () => {
    if (isAlive(pid)) kill(pid, SIGNALS['SIGKILL']!);
    await waitAsync(pid).catch(() => undefined);
  });
}

async function eventually(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 1000; i++) {
    if (holds()) return true;
    await setTimeout(10);
  }
  return false;
}

async function folder(s: Step): Promise<void> {
  const pid = await start(s, ['/bin/sleep', '1000']);
  const stat = readStat(pid)!;
  const status = readStatus(pid)!;
  s.call(`read("/proc/${pid}/stat")`, readFileSync(`/proc/${pid}/stat`, 'utf8').slice(0, 40) + '…');
  s.evidence(`process ${pid}`, {
    name: stat.comm,
    parent: stat.ppid,
    state: stat.state,
    user: status.uid.effective,
    memory: `${status.rss / 1024} kB`,
  });
  s.claim('its parent is this program', stat.ppid === getpid());
  const odd = await start(s, ['/bin/sh', '-c', 'printf "a) R 1 (b" >/proc/$$/comm; kill -STOP $$']);
  await eventually(() => readStat(odd)?.state === 'T');
  s.evidence('a program may be called anything', {
    'the line': readFileSync(`/proc/${odd}/stat`, 'utf8').slice(0, 34) + '…',
    'taken apart': `name ${JSON.stringify(readStat(odd)!.comm)}, state ${readStat(odd)!.state}, parent ${readStat(odd)!.ppid}`,
  });
  s.claim('and it is still read rightly', readStat(odd)!.state === 'T' && readStat(odd)!.ppid === getpid());
}

async function lifetime(s: Step): Promise<void> {
  const pid = fork(() => execve('/bin/sh', ['sh', '-c', 'exit 42'], []));
  s.call('fork()', `${pid} (and 0 in the child)`);
  s.call('execve("/bin/sh", ["sh", "-c", "exit 42"])', 'never, if it works');
  const status = await waitAsync(pid);
  s.call(`waitpid(${pid})`, JSON.stringify(status));
  s.claim('the status is the program’s own', exitCode(status) === 42);
  const killed = await start(s, ['/bin/sleep', '1000']);
  kill(killed, SIGNALS['SIGTERM']!);
  s.call(`kill(${killed}, SIGTERM)`, 0);
  const end = await waitAsync(killed);
  s.evidence('a killed process', {
    'the kernel says': end.kind === 'signaled' ? `signal ${end.signal}, ${signalName(end.signal)}` : end.kind,
    'docker says': `Exited (${exitCode(end)})`,
  });
  s.claim('128 and the signal’s number', exitCode(end) === 143);
}

async function zombie(s: Step): Promise<void> {
  const pid = fork(() => 7);
  await eventually(() => readStat(pid)?.state === 'Z');
  const stat = readStat(pid)!;
  s.evidence(`process ${pid} has ended`, {
    state: stat.state,
    memory: `${stat.vsize} bytes`,
    'still there': isAlive(pid),
  });
  s.claim('it has nothing left but its number and its status', stat.state === 'Z' && stat.vsize === 0);
  const status = await waitAsync(pid);
  s.call(`waitpid(${pid})`, JSON.stringify(status));
  s.claim('asked for, it is gone', !isAlive(pid) && exitCode(status) === 7);
}

async function orphan(s: Step): Promise<void> {
  const { read, write } = pipe();
  setSubreaper();
  s.cleanup('be no subreaper any more', () => setSubreaper(false));
  s.call('prctl(PR_SET_CHILD_SUBREAPER, 1)', 0);
  const middle = fork(() => {
    const grandchild = fork(() => execve('/bin/sleep', ['sleep', '1000'], []));
    writeSync(write, String(grandchild));
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  });
  endWithStep(s, middle);
  const chunk = Buffer.alloc(16);
  const grandchild = Number(chunk.toString('utf8', 0, readSync(read, chunk)));
  s.cleanup(`end process ${grandchild}`, async () => {
    kill(grandchild, SIGNALS['SIGKILL']!);
    await waitAsync(grandchild);
  });
  for (const fd of [read, write]) closeSync(fd);
  await eventually(() => readStat(grandchild)?.comm === 'sleep');
  const before = readStat(grandchild)!.ppid;
  s.evidence('the tree', { before: formatPstree(subtree(processTree(), getpid())!, { threads: false }) });
  kill(middle, SIGNALS['SIGKILL']!);
  await waitAsync(middle);
  const after = readStat(grandchild)!.ppid;
  s.evidence(`parent of process ${grandchild}`, { before, after });
  s.claim('the parent ended, and the child came to us', before === middle && after === getpid());
}

async function terminal(s: Step): Promise<void> {
  const { master, slavePath } = openPty();
  s.cleanup(`close ${slavePath}`, () => closeSync(master));
  setWindowSize(master, { rows: 33, cols: 111 });
  s.call('open("/dev/ptmx"), ioctl(TIOCSPTLCK, 0), ioctl(TIOCGPTN)', slavePath);
  const script = 'trap "echo caught; exit 5" INT; tty; stty size; echo ready; while :; do sleep 0.05; done';
  const pid = await start(s, ['/bin/sh', '-c', script], () => {
    setsid();
    const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
    setControllingTerminal(slave);
    for (const fd of [0, 1, 2]) dup2(slave, fd);
  });
  let text = '';
  const chunk = Buffer.alloc(4096);
  while (!text.includes('ready')) text += chunk.toString('utf8', 0, readSync(master, chunk));
  s.call('write(master, "\\x03")', writeSync(master, '\x03'));
  while (!text.includes('caught')) text += chunk.toString('utf8', 0, readSync(master, chunk));
  const [tty, size] = text.split('\r\n');
  s.evidence('inside', { tty, 'stty size': size, 'after Ctrl-C': 'caught' });
  s.claim('it has a terminal of the size that we chose', tty === slavePath && size === '33 111');
  s.claim('one byte became SIGINT for its session', text.includes('caught') && readStat(pid) !== undefined);
}

async function capabilities(s: Step): Promise<void> {
  const chown =
    'touch "$1"; chown 1:1 "$1" && echo chown works; renice -n -5 $$ >/dev/null 2>&1 && echo priority raised || echo priority refused';
  const file = join(tmpdir(), `ch01-${getpid()}`);
  s.cleanup(`remove ${file}`, () => rmSync(file, { force: true }));
  const { read, write } = pipe();
  const pid = await start(s, ['/bin/sh', '-c', `${chown}; exec sleep 1000`, 'sh', file], () => {
    dup2(write, 1);
    limitBounding(DOCKER_CAPABILITIES);
    setCapabilities({ effective: DOCKER_CAPABILITIES, permitted: DOCKER_CAPABILITIES, inheritable: [] });
    setNoNewPrivs();
  });
  closeSync(write);
  await eventually(() => readStat(pid)?.comm === 'sleep');
  const chunk = Buffer.alloc(200);
  const said = chunk.toString('utf8', 0, readSync(read, chunk)).trim().split('\n');
  closeSync(read);
  s.call('prctl(PR_CAPBSET_DROP, …), capset(…), prctl(PR_SET_NO_NEW_PRIVS)', 0);
  const [ours, theirs] = [readCapabilities()!.effective, readCapabilities(pid)!.effective];
  const lost = (['CAP_SYS_ADMIN', 'CAP_SYS_NICE', 'CAP_NET_ADMIN', 'CAP_SYS_MODULE'] as const).filter(
    (name) => !theirs.includes(name),
  );
  s.evidence('effective', {
    'this program': `${ours.length} capabilities`,
    'like a container': `${theirs.length}: ${theirs.slice(0, 4).join(' ')} …`,
  });
  s.evidence('gone', Object.fromEntries(lost.map((name) => [name, CAPABILITIES[name].allows])));
  s.evidence('still user 0', { tries: said.join(', ') });
  s.claim(
    'it is root, and may give files away',
    readStatus(pid)!.uid.effective === 0 && said.includes('chown works'),
  );
  s.claim('and may not raise its own priority', said.includes('priority refused'));
  s.claim('no program that it starts can get more', readStatus(pid)!.noNewPrivs);
}

async function attack(s: Step): Promise<void> {
  const victimFile = join(mkdtempSync(join(tmpdir(), 'ch01-')), 'secret');
  s.cleanup(`remove ${victimFile}`, () => rmSync(join(victimFile, '..'), { recursive: true }));
  const victim = await start(s, ['/usr/bin/env', 'PASSWORD=hunter2', '/bin/sleep', '1000']);
  await eventually(() => readStat(victim)?.comm === 'sleep');
  // The attacker is another process, as a container without namespaces would be.
  const steal = `tr "\\0" "\\n" </proc/${victim}/environ | grep PASSWORD; echo was here >/proc/${victim}/root${victimFile}; kill -9 ${victim}; ls /proc | grep -c "^[0-9]"`;
  const said = spawnSync('/bin/sh', ['-c', steal], { encoding: 'utf8' }).stdout.trim().split('\n');
  s.call(`open("/proc/${victim}/environ")`, 'a descriptor');
  s.call(`open("${rootOf(victim)}${victimFile}", O_CREAT)`, 'a descriptor');
  s.call(`kill(${victim}, SIGKILL)`, 0);
  await eventually(() => readStat(victim)?.state === 'Z');
  s.evidence('what a stranger got', {
    'its environment': said[0],
    'a file through its root': existsSync(victimFile) ? readFileSync(victimFile, 'utf8').trim() : 'nothing',
    'its life': readStat(victim)?.state === 'Z' ? 'ended' : 'spared',
    'processes in sight': said[1],
  });
  s.claim(
    'without isolation root reaches every process',
    said[0] === 'PASSWORD=hunter2' && readStat(victim)?.state === 'Z',
  );
  const own = namespacesOf('self')!;
  s.note(
    `the remedy is the next chapter: these two processes share every namespace, such as ${own['pid']} and ${own['mnt']}`,
  );
  writeFileSync(victimFile, '');
}
