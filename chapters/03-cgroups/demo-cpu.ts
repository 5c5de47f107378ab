import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { demo, readStat, waitAsync, type Step } from '../01-processes/index.ts';
import { readControl } from './control-file.ts';
import { ending, eventually, groupsOf, runIn, standsStill, startIn, wrote } from './demo-support.ts';
import {
  CONTROLLERS,
  cpuPercent,
  detectCgroups,
  openCgroup,
  readProcessorTime,
  type Cgroup,
} from './index.ts';
import { parseList } from './sizes.ts';

// The second part of the demo: processors when they are short, which of them, and how their use is told.

const name = `ch03-demo-${randomBytes(3).toString('hex')}`;
const group = groupsOf(name);
const host = detectCgroups();
const v2 = host.layout === 'v2';
/** What a shell does to keep a processor busy. */
const SPIN = 'while :; do :; done';

await demo('03 cgroups: processors', async (d) => {
  d.cleanup(`remove the cgroup /${name}`, () => openCgroup(`/${name}`).remove());
  await d.step('Shares: who gets how much when all want', {
    why: 'A quota holds back on an idle machine too. A share is a weight: it counts against the neighbours, and only while they want something.',
    run: shares,
  });
  await d.step('Which processors: cpuset', {
    why: 'Neither says which processors. Whoever must not disturb others, or be disturbed, gets some for themselves.',
    run: cpuset,
  });
  await d.step('CPU %: what docker stats prints', {
    why: 'The kernel has no percentages, only counters that grow. Two readings, and what grew is set against the machine’s own clock.',
    run: percentages,
  });
});

async function shares(s: Step): Promise<void> {
  if (!host.controllers.includes('cpu')) {
    s.note('this machine has no cpu controller: this can not be shown');
    return;
  }
  const [heavy, light] = [
    group(s, 'heavy', { cpu: { shares: 1024 } }),
    group(s, 'light', { cpu: { shares: 256 } }),
  ];
  const file = v2 ? 'cpu.weight' : 'cpu.shares';
  const weight = (cgroup: Cgroup): string =>
    readControl(join(cgroup.paths()[v2 ? '' : 'cpu']!, file))?.trim() ?? 'not to be read';
  for (const cgroup of [heavy, light]) wrote(s, file, weight(cgroup));
  // A loop for each processor: one loop each on two processors, and nobody would have to share.
  const script = `${`${SPIN} & `.repeat(availableParallelism())}wait`;
  const pids = [startIn(heavy, script), startIn(light, script)];
  const both = await used([heavy, light], 600);
  s.evidence(`${file}, and what each got while both wanted all`, {
    heavy: `${weight(heavy)}: ${percent(both[0]!, both)}`,
    light: `${weight(light)}: ${percent(both[1]!, both)}`,
  });
  s.claim('the heavier got more', both[0]! > both[1]!);
  heavy.kill();
  await waitAsync(pids[0]!);
  await standsStill(() => heavy.stats().cpu.usage); // who ends uses its processor a moment longer
  const alone = await used([heavy, light], 600);
  s.evidence('when the heavy one has ended', { light: `${weight(light)}: ${percent(alone[1]!, alone)}` });
  s.claim('the light one gets what is left, and that is all', alone[1]! > 0 && alone[0] === 0);
  s.claim('nobody was held back', light.stats().cpu.throttling.throttledPeriods === 0);
  light.kill();
  await waitAsync(pids[1]!);
}

/** Milliseconds of processor time that each used, from now on until together they have used so many. */
async function used(cgroups: Cgroup[], together: number): Promise<number[]> {
  const usage = (): number[] => cgroups.map((cgroup) => cgroup.stats().cpu.usage / 1e6);
  const before = usage();
  const since = (): number[] => usage().map((now, i) => now - before[i]!);
  await eventually(() => sum(since()) > together);
  return since();
}

function sum(numbers: number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

function percent(part: number, all: number[]): string {
  return `${Math.round((100 * part) / sum(all))} % of what the two got`;
}

async function cpuset(s: Step): Promise<void> {
  if (!host.controllers.includes('cpuset')) {
    s.note(`this machine has no cpuset controller (${CONTROLLERS.cpuset.does}): this can not be shown`);
    return;
  }
  const here = processorsOf('self');
  const [first, ...others] = parseList(here);
  const cgroup = group(s, 'pinned', { cpu: { cpus: String(first) } });
  wrote(s, 'cpuset.cpus', String(first));
  const pid = startIn(cgroup, SPIN);
  s.evidence('/proc/PID/status, Cpus_allowed_list', {
    'this process': here,
    [`process ${pid}`]: processorsOf(pid),
  });
  s.claim('the kernel runs it there, and nowhere else', processorsOf(pid) === String(first));
  cgroup.kill();
  await waitAsync(pid);
  if (others.length === 0) {
    s.note('this machine has one processor: nobody can be kept from another');
    return;
  }
  // The member asks for a processor that the machine has, and its group has not.
  const { status, said } = await runIn(cgroup, `exec taskset -c ${others[0]} true`);
  s.call(`sched_setaffinity(0, {${others[0]}})`, 'EINVAL');
  s.evidence(`asking for processor ${others[0]} from inside`, { taskset: said, status: ending(status) });
  s.claim('what is not in the set can not be had', /Invalid argument/.test(said));
  s.note('sched_setaffinity(2), which taskset calls, lets a process choose among these, and never more');
}

async function percentages(s: Step): Promise<void> {
  if (!host.controllers.includes('cpu')) {
    s.note('this machine has no cpu controller: this can not be shown');
    return;
  }
  const tenth = group(s, 'tenth', { cpu: { quota: 10_000, period: 100_000 } });
  const asleep = group(s, 'asleep');
  const pids = [startIn(tenth, SPIN), startIn(asleep, 'exec sleep 1000')];
  // Until it sleeps, its program is being loaded.
  await eventually(() => readStat(pids[1]!)?.comm === 'sleep' && readStat(pids[1]!)?.state === 'S');
  const usage = (): number[] => [tenth, asleep].map((cgroup) => cgroup.stats().cpu.usage);
  const [clock, before] = [readProcessorTime(), usage()];
  await setTimeout(1000);
  await eventually(() => usage()[0]! > before[0]!);
  const [now, later] = [usage(), readProcessorTime()];
  const file = v2 ? 'cpu.stat' : 'cpuacct.usage';
  s.call(`read("${file}"), read("/proc/stat"), and once more`, 'counters');
  const percents = now.map((used, i) =>
    cpuPercent({ usage: before[i]!, ...clock }, { usage: used, ...later }),
  );
  const show = (i: number): string =>
    `${Math.round((now[i]! - before[i]!) / 1e6)} ms of its own: CPU % is ${percents[i]!.toFixed(2)}`;
  s.evidence('what grew', {
    'the machine’s clock': `${Math.round((later.system - clock.system) / 1e6)} ms, of ${later.processors} processor(s) together`,
    'a loop, at most a tenth': show(0),
    'a program that sleeps': show(1),
  });
  s.claim('who runs has a percentage, and who sleeps has none', percents[0]! > 0 && percents[1]! < 1);
  for (const cgroup of [tenth, asleep]) cgroup.kill();
  for (const pid of pids) await waitAsync(pid);
}

/** The processors that a process may run on, as the kernel lists them: `0-3,8`. */
function processorsOf(pid: number | 'self'): string {
  return /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
}
