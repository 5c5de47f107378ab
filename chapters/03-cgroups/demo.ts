import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { demo, kill, readCgroups, readStatus, waitAsync, type Step } from '../01-processes/index.ts';
import { ending, eventually, groupsOf, runIn, standsStill, startIn, wrote } from './demo-support.ts';
import { CONTROLLERS, detectCgroups, openCgroup, workingSet } from './index.ts';
import { readKernelControllers, type KernelController } from './proc-cgroups.ts';
import { tryReleaseAgent } from './release-agent.ts';

/** What is made on the machine has a name of this run alone. */
const name = `ch03-demo-${randomBytes(3).toString('hex')}`;
const MB = 1024 * 1024;

const host = detectCgroups();
const group = groupsOf(name);

await demo('03 cgroups: what a process can use', async (d) => {
  d.cleanup(`remove the cgroup /${name}`, () => openCgroup(`/${name}`).remove());
  await d.step('How this machine shows its cgroups', {
    why: 'v1 has a tree for each controller, v2 one for all, hybrid both. Ask the kernel, not the distribution.',
    run: layout,
  });
  await d.step('A cgroup is a folder', {
    why: 'mkdir makes the group, and the kernel fills it with files. Writing a process id into one of them moves the process.',
    run: folder,
  });
  await d.step('Processor time: a quota', {
    why: 'So many microseconds in each period. When they are used up, everybody in the group waits for the next.',
    run: quota,
  });
  await d.step('Memory: a limit, and a death', {
    why: 'When a group needs more than its limit and nothing can be given back, the kernel kills one of its processes.',
    run: memory,
  });
  await d.step('Attack: a fork bomb, and its remedy', {
    why: 'Every process starts two more. Nothing stops it but a limit on how many there may be.',
    run: forkBomb,
  });
  await d.step('Everybody stops: the freezer', {
    why: 'docker pause stops a container where it is, and the processes get no signal that they could catch.',
    run: freezer,
  });
  await d.step('Devices', {
    why: 'Root in a container could make a file for the host’s disk with mknod and read it. So opening devices is limited too.',
    run: devices,
  });
  await d.step('Attack: release_agent', {
    why: 'In v1 the kernel starts a program when a cgroup becomes empty: as root, and outside of every container.',
    run: releaseAgent,
  });
});

/** Says that a controller is missing, if it is. */
function lacks(s: Step, controller: 'cpu' | 'memory' | 'pids'): boolean {
  if (host.controllers.includes(controller)) return false;
  s.note(`this machine has no ${controller} controller: this can not be shown`);
  return true;
}

function layout(s: Step): void {
  s.call('read("/proc/self/mountinfo")', host.layout);
  s.evidence('trees', {
    ...Object.fromEntries(
      host.hierarchies.map((h) => [h.controllers.join() || `name=${h.name}`, h.mountPoint]),
    ),
    ...(host.unified && { [host.layout === 'v2' ? 'all, v2' : 'v2, no controllers']: host.unified }),
  });
  const kernel = readKernelControllers();
  s.call('read("/proc/cgroups")', `${kernel.length} controllers`);
  s.evidence('controllers of the kernel, and the number of their v1 tree', {
    'in a tree': listed(kernel.filter(({ hierarchy }) => hierarchy > 0)),
    'in none': listed(kernel.filter(({ hierarchy }) => hierarchy === 0)),
  });
  const numberOf = (name: string): number =>
    readCgroups('self')!.find(({ controllers }) => controllers.includes(name))?.hierarchy ?? 0;
  s.claim(
    '/proc/self/cgroup has each in the tree of that number, and those of number 0 in none',
    kernel.every(({ name, hierarchy }) => numberOf(name) === hierarchy),
  );
  s.claim(
    'what is mounted as a v1 tree has a number',
    host.hierarchies
      .flatMap(({ controllers }) => controllers)
      .every((name) => kernel.some((one) => one.name === name && one.hierarchy > 0)),
  );
  for (const controller of ['cpu', 'memory', 'pids', 'cpuset', 'devices', 'hugetlb'] as const) {
    if (host.controllers.includes(controller)) continue;
    const { does, v2 } = CONTROLLERS[controller];
    s.note(`no ${controller} controller here (${does})${host.layout === 'v2' ? `; in v2: ${v2}` : ''}`);
  }
  s.claim('there is at least one tree', host.hierarchies.length > 0 || host.unified !== undefined);
}

function listed(controllers: KernelController[]): string {
  return controllers.map(({ name, hierarchy }) => `${name} ${hierarchy}`).join(', ') || 'nothing';
}

async function folder(s: Step): Promise<void> {
  const cgroup = group(s, 'group');
  const [controller, path] = Object.entries(cgroup.paths()).find(([c]) => c === 'memory' || c === '')!;
  s.call(`mkdir("${path}")`, 0);
  const files = readdirSync(path);
  s.evidence('what the kernel put into it', {
    [controller || 'v2']: `${files.length} files, such as ${files
      .filter((f) => /procs|max$|limit_in/.test(f))
      .slice(0, 4)
      .join(' ')}`,
  });
  const pid = startIn(cgroup, 'sleep 1000 & wait');
  await eventually(() => cgroup.pids().length === 2);
  wrote(s, 'cgroup.procs', pid);
  const memberOf = (who: number | 'self'): string =>
    [...new Set(readCgroups(who)!.map((c) => c.path))].join(' and ');
  s.evidence('/proc/PID/cgroup', { 'this process': memberOf('self'), [`process ${pid}`]: memberOf(pid) });
  s.claim('its child was born in the group, without a word', cgroup.pids().length === 2);
  cgroup.kill();
  await waitAsync(pid);
  s.claim('the group can be ended as one', cgroup.pids().length === 0);
}

async function quota(s: Step): Promise<void> {
  if (lacks(s, 'cpu')) return;
  const spin = 'while :; do :; done';
  const free = group(s, 'free');
  const limited = group(s, 'limited', { cpu: { quota: 5_000, period: 100_000 } });
  if (host.layout === 'v2') wrote(s, 'cpu.max', '5000 100000');
  else wrote(s, 'cpu.cfs_quota_us', 5000);
  const pids = [startIn(free, spin), startIn(limited, spin)];
  await setTimeout(700);
  await eventually(() => limited.stats().cpu.throttling.throttledPeriods > 2);
  const [a, b] = [free.stats().cpu, limited.stats().cpu];
  for (const cgroup of [free, limited]) cgroup.kill();
  for (const pid of pids) await waitAsync(pid);
  const show = (cpu: typeof a): string =>
    `${Math.round(cpu.usage / 1e6)} ms used, stopped in ${cpu.throttling.throttledPeriods} of ${cpu.throttling.periods} periods`;
  s.evidence('two loops, side by side', { 'no limit': show(a), 'a twentieth of a processor': show(b) });
  s.claim('without a limit nobody is stopped', a.throttling.throttledPeriods === 0);
  s.claim('with one, the kernel counts every stop', b.throttling.throttledPeriods > 0);
}

async function memory(s: Step): Promise<void> {
  if (lacks(s, 'memory')) return;
  const hog = 'exec dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null';
  const free = await runIn(group(s, 'free'), hog);
  const limited = group(s, 'limited', { memory: { limit: 16 * MB } });
  if (limited.stats().memory.swapLimit !== undefined)
    limited.set({ memory: { limit: 16 * MB, swap: 16 * MB } });
  wrote(s, host.layout === 'v2' ? 'memory.max' : 'memory.limit_in_bytes', 16 * MB);
  const { status } = await runIn(limited, hog);
  const stats = limited.stats().memory;
  s.evidence('a program that needs 64 MiB', {
    'no limit': ending(free.status),
    'limit of 16 MiB': `${ending(status)}; oom_kill ${stats.oomKills}; in use now ${workingSet(stats)} bytes`,
  });
  s.claim('without a limit it ends well', free.status.kind === 'exited' && free.status.code === 0);
  s.claim(
    'with one it is killed, and the kernel says why',
    status.kind === 'signaled' && stats.oomKills === 1,
  );
}

async function forkBomb(s: Step): Promise<void> {
  if (lacks(s, 'pids')) return;
  // The bomb :(){ :|:& };: in slow motion, and only ever inside a limit: 40 is plenty for one command.
  const limited = group(s, 'bomb', { pids: { limit: 40 } });
  wrote(s, 'pids.max', 40);
  const pid = startIn(limited, 'exec 2>/dev/null; bomb() { bomb & sleep 0.02; bomb & wait; }; bomb');
  await eventually(() => limited.stats().pids.refused > 0);
  const { current, limit, refused } = limited.stats().pids;
  const before = await runIn(undefined, 'echo still works');
  s.evidence('while it goes off', {
    inside: `${current} of ${limit} processes, ${refused} forks refused`,
    'the machine': before.said,
  });
  s.claim('it comes as far as its limit, and no further', refused > 0 && current <= limit);
  s.claim('the machine does not notice', before.status.kind === 'exited' && before.status.code === 0);
  if (host.unified) wrote(s, 'cgroup.kill', 1);
  else s.call('kill(…, SIGKILL) for all, frozen', 0);
  limited.kill();
  await waitAsync(pid);
  s.claim('and ends at one blow', limited.pids().length === 0);
}

async function freezer(s: Step): Promise<void> {
  const cgroup = group(s, 'frozen');
  const pid = startIn(cgroup, 'trap "exit 3" TERM; while :; do :; done');
  const ran = (): number => Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
  // Bit 14 is SIGTERM: from then on the shell catches it.
  await eventually(() => ((readStatus(pid)?.signals.caught ?? 0n) >> 14n) % 2n === 1n);
  cgroup.freeze();
  if (host.hierarchies.some((h) => h.controllers.includes('freezer'))) wrote(s, 'freezer.state', 'FROZEN');
  else wrote(s, 'cgroup.freeze', 1);
  // What is frozen is so a moment before it has left its processor, and before the kernel has counted the time until then.
  const then = await standsStill(ran);
  await setTimeout(200);
  const later = ran();
  s.evidence('time that the process has run', {
    frozen: `${then} ns`,
    'a fifth of a second later': `${later} ns`,
  });
  s.claim('it has not run', later === then);
  kill(pid, 15);
  await setTimeout(50);
  s.claim('SIGTERM, which it would catch, waits too', cgroup.pids().includes(pid));
  cgroup.thaw();
  const status = await waitAsync(pid);
  s.claim('thawed, it catches the signal that waited', status.kind === 'exited' && status.code === 3);
}

async function devices(s: Step): Promise<void> {
  const open =
    'for d in null zero; do (: </dev/$d) 2>/dev/null && echo "$d opens" || echo "$d refused"; done';
  const cgroup = group(s, 'devices');
  const before = await runIn(cgroup, open);
  try {
    cgroup.set({ devices: [{ allow: false }, { allow: true, type: 'c', major: 1, minor: 3 }] });
  } catch (error) {
    s.note(`this machine can not limit devices: ${(error as Error).message}`);
    return;
  }
  if (host.layout === 'v2') {
    s.call('bpf(BPF_PROG_ATTACH, {BPF_CGROUP_DEVICE, …})', 0);
  } else {
    wrote(s, 'devices.deny', 'a');
    wrote(s, 'devices.allow', 'c 1:3 rwm');
  }
  const after = await runIn(cgroup, open);
  s.evidence('open("/dev/…")', {
    'no rules': before.said.replace('\n', ', '),
    'only 1:3 allowed': after.said.replace('\n', ', '),
  });
  s.claim('root or not: what is not on the list does not open', after.said === 'null opens\nzero refused');
}

async function releaseAgent(s: Step): Promise<void> {
  const free = await tryReleaseAgent(`${name}-a`, false);
  if (free.refused) {
    s.note(`this kernel can not show it: ${free.refused}`);
    s.claim('a refused attack has run nothing', free.proof === '');
    return;
  }
  s.call('write("release_agent", "/tmp/…/agent")', 'ok');
  const contained = await tryReleaseAgent(`${name}-b`, true);
  s.evidence('the program that the kernel was told to start', {
    'all capabilities': `ran: ${free.proof} (the kernel’s own thread)`,
    'a Docker container’s': `did not run: ${contained.refused}`,
  });
  s.claim('with CAP_SYS_ADMIN it ran outside', free.proof.startsWith('uid 0'));
  s.claim(
    'without, the tree can not even be mounted',
    contained.proof === '' && /EPERM/.test(contained.refused),
  );
}
