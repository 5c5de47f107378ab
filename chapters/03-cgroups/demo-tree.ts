import { randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, rmdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { demo, fork, getpid, waitAsync, type Step } from '../01-processes/index.ts';
import { setgid, setgroups, setuid } from '../02-namespaces/index.ts';
import { readControl, writeControl } from './control-file.ts';
import { diskFolder, eventually, groupsOf, runIn, startIn, wrote } from './demo-support.ts';
import { pidsIn } from './folders.ts';
import { createSystemdCgroup, detectCgroups, isSystemdRunning, openCgroup, readPressure } from './index.ts';

// The fourth part of the demo: the tree and its rules, who may make groups, disks, and systemd.

const name = `ch03-demo-${randomBytes(3).toString('hex')}`;
const group = groupsOf(name);
const host = detectCgroups();
/** The person without root. */
const NOBODY = 65534;

await demo('03 cgroups: the tree, disks, pressure, systemd', async (d) => {
  d.cleanup(`remove the cgroup /${name}`, () => openCgroup(`/${name}`).remove());
  await d.step('No processes in between', {
    why: 'In v2 a folder that hands controllers down has no processes of its own: they would compete with its subfolders, by no rule.',
    run: noInternalProcesses,
  });
  await d.step('Delegation: a person without root', {
    why: 'A folder is given away by chown. Its new owner makes groups below, and gets no further: not up, and not at their own limits.',
    run: delegation,
  });
  await d.step('A disk, slower', {
    why: 'So many bytes a second, for one disk by its numbers. Whoever wants more waits.',
    run: disk,
  });
  await d.step('Pressure', {
    why: 'Usage says how much was used. Pressure says for how long somebody had to wait for it.',
    run: pressure,
  });
  await d.step('Asking systemd', {
    why: 'Where systemd is the first process, the tree is its own: a container is a scope that it is asked for.',
    run: systemd,
  });
});

async function noInternalProcesses(s: Step): Promise<void> {
  const cgroup = group(s, 'between');
  const pid = startIn(cgroup, 'exec sleep 1000');
  const folder = Object.values(cgroup.paths()).at(-1)!;
  const controller = (readControl(join(folder, 'cgroup.controllers')) ?? '')
    .split(' ')
    .find((c) => c === 'memory');
  if (host.layout !== 'v2' || !controller) {
    const inner = group(s, 'between/inner');
    s.evidence('cgroup.procs', { between: cgroup.pids().join(), inner: inner.pids().join() || 'nobody' });
    s.note(
      'the controllers of this machine are v1’s, which has no such rule: whoever sits in between competes with the groups below',
    );
    s.claim('v1 lets it be', cgroup.pids().includes(pid));
    return;
  }
  const control = join(folder, 'cgroup.subtree_control');
  const refusal = (action: () => void): string => {
    try {
      action();
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const hand = refusal(() => writeControl(control, '+memory'));
  s.call('write("cgroup.subtree_control", "+memory")', hand ? 'EBUSY' : '+memory'.length);
  s.evidence('with a process in it', { 'handing memory down': hand || 'done' });
  cgroup.kill();
  await waitAsync(pid);
  const empty = refusal(() => writeControl(control, '+memory'));
  const joined = await runIn(undefined, `echo $$ >${join(folder, 'cgroup.procs')}`);
  s.evidence('empty', { 'handing memory down': empty || 'done', 'joining it then': joined.said });
  s.note('cpu and pids are exempt: they can judge between threads, and so between a process and a group');
  s.claim('with a process in it, memory can not be handed down', /EBUSY/.test(hand));
  s.claim(
    'and once it is, nobody can join',
    empty === '' && joined.status.kind === 'exited' && joined.status.code !== 0,
  );
}

async function delegation(s: Step): Promise<void> {
  const cgroup = group(s, 'person');
  const folder = cgroup.paths()[''];
  if (folder === undefined) {
    s.note(
      'this machine has no tree of v2: one delegates there, and not in v1, whose kernel trusts owners too much',
    );
    return;
  }
  for (const file of ['', 'cgroup.procs', 'cgroup.threads', 'cgroup.subtree_control'])
    chownSync(join(folder, file), NOBODY, NOBODY);
  s.call(`chown("…/person", ${NOBODY}), and three of its files`, 0);
  const report = join(diskFolder(s), 'report');
  writeFileSync(report, '');
  chownSync(report, NOBODY, NOBODY);
  chownSync(join(report, '..'), NOBODY, NOBODY);
  const top = folder.slice(0, -cgroup.path.length);
  const limit = join(cgroup.paths()['pids'] ?? folder, 'pids.max');
  const pid = fork(() => {
    cgroup.add(getpid());
    setgroups([]);
    setgid(NOBODY);
    setuid(NOBODY);
    const tried = (action: () => void): string => {
      try {
        action();
        return 'done';
      } catch (error) {
        return (error as { code?: string }).code ?? String(error);
      }
    };
    const said = {
      'making a group below': tried(() => mkdirSync(join(folder, 'own'))),
      'moving into it': tried(() => writeControl(join(folder, 'own/cgroup.procs'), String(getpid()))),
      'moving out of the folder': tried(() => writeControl(join(top, 'cgroup.procs'), String(getpid()))),
      'changing the limit that was set': tried(() => writeControl(limit, 'max')),
      'where it is': pidsIn(join(folder, 'own')).includes(getpid()) ? 'in its own group' : 'elsewhere',
    };
    writeFileSync(report, JSON.stringify(said));
  });
  await waitAsync(pid);
  const said = JSON.parse(readControl(report) || '{}') as Record<string, string>;
  s.evidence(`what user ${NOBODY} may do`, said);
  s.claim(
    'make groups and move within',
    said['making a group below'] === 'done' && said['where it is'] === 'in its own group',
  );
  s.claim('not leave', /EACCES|EPERM/.test(said['moving out of the folder'] ?? ''));
  s.claim('not lift the limit', /EACCES|EPERM/.test(said['changing the limit that was set'] ?? ''));
  await eventually(() => pidsIn(folder).length === 0);
  rmdirSync(join(folder, 'own'));
}

async function disk(s: Step): Promise<void> {
  const file = join(diskFolder(s), 'disk');
  writeFileSync(file, '');
  truncateSync(file, 16 * 1024 * 1024);
  const attached = spawnSync('losetup', ['-f', '--show', file], { encoding: 'utf8' });
  const device = attached.stdout?.trim();
  if (attached.status !== 0 || !device) {
    s.note(`this machine has no loop device to be had: ${attached.stderr?.trim() || 'no losetup'}`);
    return;
  }
  s.cleanup(`detach ${device}`, () => void spawnSync('losetup', ['-d', device]));
  const { rdev } = statSync(device);
  const [major, minor] = [rdev >> 8, rdev & 0xff];
  const cgroup = group(s, 'disk');
  const write = async (): Promise<number> => {
    const start = performance.now();
    await runIn(cgroup, `dd if=/dev/zero of=${device} bs=256k count=8 oflag=direct conv=fsync 2>/dev/null`);
    return Math.round(performance.now() - start);
  };
  const free = await write();
  try {
    cgroup.set({ blockIO: { throttleWriteBpsDevice: [{ major, minor, rate: 1024 * 1024 }] } });
  } catch (error) {
    s.note(`this machine can not slow a disk: ${(error as Error).message}`);
    return;
  }
  if (host.layout === 'v2') wrote(s, 'io.max', `${major}:${minor} wbps=1048576`);
  else wrote(s, 'blkio.throttle.write_bps_device', `${major}:${minor} 1048576`);
  const slow = await write();
  const written = cgroup
    .stats()
    .blkio.serviceBytes.filter((c) => c.major === major && c.minor === minor && c.op === 'Write')
    .reduce((sum, { value }) => sum + value, 0);
  s.evidence('2 MB written to it', {
    'no limit': `${free} ms`,
    '1 MB a second': `${slow} ms`,
    counted: `${written} bytes`,
  });
  // A lower bound is the kernel's promise, however busy the machine is.
  s.claim('the second took its time', slow > 1000);
  s.claim('every byte was counted', written >= 2 * 1024 * 1024);
}

async function pressure(s: Step): Promise<void> {
  if (!readPressure('/proc/pressure/cpu')) {
    s.note('this kernel keeps no pressure (CONFIG_PSI, and psi=1 at boot)');
    return;
  }
  const cgroup = group(s, 'pressed');
  if (!cgroup.stats().pressure.cpu) {
    s.note('pressure of a group is told in the tree of v2, which this machine does not have');
    return;
  }
  const before = cgroup.stats().pressure.cpu!.some;
  startIn(cgroup, 'for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait');
  await eventually(() => cgroup.stats().pressure.cpu!.some > before + 100_000);
  const { cpu, memory, io } = cgroup.stats().pressure;
  s.call('read("cpu.pressure")', `some total=${cpu!.some}`);
  s.evidence('eight loops on few processors', {
    'waited for a processor': `${Math.round((cpu!.some - before) / 1000)} ms`,
    'waited for memory': `${Math.round((memory?.some ?? 0) / 1000)} ms`,
    'waited for a disk': `${Math.round((io?.some ?? 0) / 1000)} ms`,
  });
  s.claim('they waited for processors', cpu!.some > before);
  cgroup.kill();
}

async function systemd(s: Step): Promise<void> {
  if (!isSystemdRunning()) {
    s.note(
      'systemd is not the first process of this machine: nobody is asked, and the folders are made directly (the cgroupfs driver)',
    );
    return;
  }
  const pid = startIn(group(s, 'before'), 'exec sleep 1000');
  const place = `system.slice:ch03demo:${name}`;
  const cgroup = createSystemdCgroup(place, pid, { pids: { limit: 12 } });
  s.cleanup(`stop the scope ${place}`, () => {
    cgroup.kill();
    cgroup.remove();
  });
  s.call(
    `StartTransientUnit("ch03demo-${name}.scope", "replace", [("PIDs", [${pid}]), ("TasksMax", 12) …])`,
    'job',
  );
  const { stdout } = spawnSync(
    'systemctl',
    ['show', `ch03demo-${name}.scope`, '-p', 'ActiveState,Slice,ControlGroup,Delegate,TasksMax'],
    { encoding: 'utf8' },
  );
  s.evidence(
    'systemctl show',
    Object.fromEntries(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split('=')),
    ),
  );
  s.claim('systemd knows it', /ActiveState=active/.test(stdout) && /TasksMax=12/.test(stdout));
  s.claim('the process is in it', cgroup.pids().includes(pid));
  cgroup.kill();
  await waitAsync(pid);
}
