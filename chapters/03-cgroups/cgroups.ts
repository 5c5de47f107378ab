import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import chalk from 'chalk';
import { readCgroups } from '../01-processes/index.ts';
import { CONTROLLERS, type Controller } from './controllers.ts';
import { detectCgroups, type CgroupHost } from './detect.ts';
import { openCgroup } from './create.ts';
import { readKernelControllers } from './proc-cgroups.ts';
import { isSystemdRunning } from './systemd.ts';
import { workingSet } from './stats.ts';

// `npx tsx chapters/03-cgroups/cgroups.ts [/PATH | CONTROLLER]`: how this machine shows its cgroups; one cgroup; one controller. It changes nothing.

/** Of v2 these are no part: it does without, or in another way. */
const V1_ONLY: readonly Controller[] = ['cpuacct', 'blkio', 'devices', 'freezer', 'net_cls', 'net_prio'];

const [what, ...more] = process.argv.slice(2);
if (more.length > 0 || what?.startsWith('-')) {
  process.stderr.write('usage: npx tsx chapters/03-cgroups/cgroups.ts [/PATH-OF-A-CGROUP | CONTROLLER]\n');
  process.exitCode = 2;
} else
  try {
    if (what === undefined) machine();
    else if (Object.hasOwn(CONTROLLERS, what)) controller(what as Controller);
    else group(what);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }

function machine(): void {
  const host = detectCgroups();
  title(`layout: ${host.layout}`);
  for (const h of host.hierarchies) row(h.controllers.join() || `name=${h.name}`, h.mountPoint);
  if (host.unified) row(host.layout === 'v2' ? 'v2' : 'v2, without controllers', host.unified);
  row('driver', isSystemdRunning() ? 'systemd keeps the tree: ask it (slice:prefix:name)' : 'cgroupfs');
  title('controllers');
  for (const name of Object.keys(CONTROLLERS) as Controller[])
    row(name, `${chalk.bold(standing(host, name))}  ${CONTROLLERS[name].does}`);
  title('this process');
  for (const { controllers, path, hierarchy } of readCgroups('self')!)
    row(hierarchy === 0 ? 'v2' : controllers.join(), path);
}

/** Whether a limit may ask for it here. */
function standing(host: CgroupHost, name: Controller): string {
  if (host.controllers.includes(name)) return 'here   ';
  if (name === 'io' && host.layout !== 'v2') return 'in v2  ';
  if (V1_ONLY.includes(name) && host.layout === 'v2') return 'in v1  ';
  return readKernelControllers().some((known) => known.name === name) ? 'unused ' : 'missing';
}

function controller(name: Controller): void {
  const { does, v1, v2, docker } = CONTROLLERS[name];
  title(`${name}: ${does}`);
  row('here', standing(detectCgroups(), name));
  row('v1', v1);
  row('v2', v2);
  row('docker', docker || 'no flag');
}

function group(path: string): void {
  const cgroup = openCgroup(path);
  if (!cgroup.exists()) {
    process.stderr.write(`there is no cgroup ${path}: give its path from the top, as in /proc/PID/cgroup\n`);
    process.exitCode = 1;
    return;
  }
  const { cpu, memory, pids, pressure } = cgroup.stats();
  const limit = (value: number): string => (value === Infinity ? 'no limit' : `of ${value}`);
  title(cgroup.path);
  for (const [tree, folder] of Object.entries(cgroup.paths())) row(tree || 'v2', folder);
  row(
    'cpu',
    `${Math.round(cpu.usage / 1e6)} ms used, ${cpu.quota === Infinity ? 'no quota' : `${cpu.quota} µs in ${cpu.period}`}, throttled ${cpu.throttling.throttledPeriods} times`,
  );
  row(
    'memory',
    `${memory.usage} bytes, ${workingSet(memory)} without idle files, ${limit(memory.limit)}, ${memory.oomKills} killed`,
  );
  row('pids', `${pids.current} ${limit(pids.limit)}, ${pids.refused} refused`);
  for (const [name, { some10, full10 }] of Object.entries(pressure))
    row(`${name} pressure`, `some waited ${some10} % of the last 10 s, all ${full10} %`);
  for (const pid of cgroup.pids())
    row('process', `${pid} ${readFileSync(join('/proc', String(pid), 'comm'), 'utf8').trim()}`);
}

function title(text: string): void {
  process.stdout.write(`${chalk.bold(text)}\n`);
}

function row(name: string, text: string): void {
  process.stdout.write(`  ${name.padEnd(24)} ${text}\n`);
}
