import { randomBytes } from 'node:crypto';
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { demo, isAlive, waitAsync, type Step } from '../01-processes/index.ts';
import { readKeyed } from './control-file.ts';
import { diskFolder, ending, eventually, groupsOf, runIn, startIn, wrote } from './demo-support.ts';
import { detectCgroups, openCgroup, type Cgroup } from './index.ts';

// The third part of the demo: what memory is, who pays for it, and what happens at a limit.

const name = `ch03-demo-${randomBytes(3).toString('hex')}`;
const MB = 1024 * 1024;
const group = groupsOf(name);
const host = detectCgroups();
const v2 = host.layout === 'v2';
/** Wants 64 MB at once. */
const HOG = 'exec dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null';
/**
 * Doubles a word until it has 32 MB. It touches its memory itself: within a system call, as dd's read(2), nobody is made to wait, the call fails.
 */
const DOUBLING = `word=0123456789abcdef; while [ \${#word} -lt ${32 * MB} ]; do word=$word$word; done`;

/** File systems whose files are not in the page cache in the usual way, by statfs(2)'s number. */
const UNCHARGED: Readonly<Record<number, string>> = {
  0x00c0ffee: 'hostfs, through which user-mode-linux sees its host’s files',
  0x01021994: 'tmpfs, whose files can not be dropped',
};

await demo('03 cgroups: memory', async (d) => {
  d.cleanup(`remove the cgroup /${name}`, () => openCgroup(`/${name}`).remove());
  if (!host.controllers.includes('memory')) {
    await d.step('No memory controller', {
      why: 'Every step of this part needs it.',
      run: (s) => s.note('this machine has no memory controller: memory limits can not be shown'),
    });
    return;
  }
  await d.step('Kinds of memory: files and the rest', {
    why: 'What was read from a file can be dropped and read again. What a program computed is nowhere else. The kernel counts them apart.',
    run: kinds,
  });
  await d.step('Who pays for a shared page', {
    why: 'A file is in memory once, however many groups read it. It is charged to the one that touched it first.',
    run: shared,
  });
  await d.step('memory.high: slower and slower', {
    why: 'Below the wall there may be a slope: whoever goes beyond memory.high must give memory back before going on.',
    run: high,
  });
  await d.step('memory.max: one is killed, or all', {
    why: 'The kernel kills one process. When half a program is worse than none, memory.oom.group makes it kill the group.',
    run: oneOrAll,
  });
  await d.step('A limit below what is in use', {
    why: 'docker update may ask for less than there is. v1 says no; v2 takes memory back, and when that does not do, kills.',
    run: belowUse,
  });
});

/** Megabytes of each kind, in the words of v2. v1 counts a group alone and with those below it (total_). */
function kindsOf(cgroup: Cgroup): { anon: number; file: number; active: number; inactive: number } {
  const { stats } = cgroup.stats().memory;
  const mb = (v2Name: string, v1Name: string): number => Math.round((stats[v2 ? v2Name : v1Name] ?? 0) / MB);
  return {
    anon: mb('anon', 'total_rss'),
    file: mb('file', 'total_cache'),
    active: mb('active_file', 'total_active_file'),
    inactive: mb('inactive_file', 'total_inactive_file'),
  };
}

function show(cgroup: Cgroup): string {
  const { anon, file, active, inactive } = kindsOf(cgroup);
  return `anonymous ${anon}, file ${file} (active ${active}, inactive ${inactive})`;
}

/** Makes a file of 16 MB in the cgroup's account. */
function write(cgroup: Cgroup, file: string): Promise<unknown> {
  return runIn(cgroup, `dd if=/dev/zero of=${file} bs=1M count=16 conv=fsync 2>/dev/null`);
}

/** A folder whose files are charged as those of a disk; says so when there is none. */
function fileFolder(s: Step): string | undefined {
  const folder = diskFolder(s);
  const why = UNCHARGED[statfsSync(folder).type];
  if (why) s.note(`files can not be shown here: /var/tmp is ${why}`);
  return why ? undefined : folder;
}

async function kinds(s: Step): Promise<void> {
  const cgroup = group(s, 'kinds');
  const folder = fileFolder(s);
  s.call('read("memory.stat")', 'anon, file, active_file, inactive_file …');
  const seen: Record<string, string> = { 'a new group': show(cgroup) };
  if (folder) {
    const file = join(folder, 'file');
    await write(cgroup, file);
    await eventually(() => kindsOf(cgroup).file >= 15);
    seen['16 MB written to a file'] = show(cgroup);
    await runIn(cgroup, `cat ${file} >/dev/null; cat ${file} >/dev/null`);
    seen['read twice more'] = show(cgroup);
  }
  // dd holds a buffer of that size as long as it runs.
  const pid = startIn(cgroup, 'exec dd if=/dev/zero of=/dev/null bs=16M 2>/dev/null');
  const anonHeld = await eventually(() => kindsOf(cgroup).anon >= 15);
  seen['a program holds 16 MB'] = show(cgroup);
  cgroup.kill();
  await waitAsync(pid);
  const anonGone = await eventually(() => kindsOf(cgroup).anon < 2);
  seen['it has ended'] = show(cgroup);
  s.evidence('memory.stat, in MB', seen);
  s.claim('what a program holds is anonymous, and goes with it', anonHeld && anonGone);
  if (folder)
    s.claim('what was written stays though nobody is left, until it is dropped', kindsOf(cgroup).file >= 15);
}

async function shared(s: Step): Promise<void> {
  const [first, second] = [group(s, 'first'), group(s, 'second')];
  const folder = fileFolder(s);
  if (!folder) return;
  const file = join(folder, 'file');
  await write(first, file);
  await runIn(second, `cat ${file} >/dev/null`);
  await eventually(() => kindsOf(first).file >= 15);
  s.evidence('both have read the same 16 MB, and pay in MB', {
    'the first': show(first),
    'the second': show(second),
  });
  s.claim('the first one pays', kindsOf(first).file >= 15);
  s.claim('the second reads for nothing', kindsOf(second).file < 4);
}

async function high(s: Step): Promise<void> {
  if (!v2) {
    s.note(
      'memory.high is v2’s alone, and the memory controller of this machine is v1’s: its soft limit counts only when the whole machine is short, and slows nobody',
    );
    return;
  }
  const cgroup = group(s, 'high', { unified: { 'memory.high': String(8 * MB) } });
  wrote(s, 'memory.high', 8 * MB);
  const pid = startIn(cgroup, 'exec dd if=/dev/zero of=/dev/null bs=256M count=1 2>/dev/null');
  const events = (): Record<string, number> => readKeyed(join(cgroup.paths()['']!, 'memory.events')) ?? {};
  await eventually(() => (events()['high'] ?? 0) > 3 || !isAlive(pid));
  const { high: slowed = 0, oom_kill: killed = 0 } = events();
  s.evidence('a program that wants 256 MB, at a memory.high of 8 MB', {
    'memory.events': `high ${slowed}, oom_kill ${killed}`,
    'in use': `${Math.round(cgroup.stats().memory.usage / MB)} MB`,
  });
  s.claim('it is held up, again and again', slowed > 3);
  s.claim('and not killed', killed === 0);
  cgroup.kill();
  await waitAsync(pid);
}

async function oneOrAll(s: Step): Promise<void> {
  const limit = { limit: 16 * MB };
  const one = group(s, 'one', { memory: limit });
  withoutSwap(one);
  // The bystander holds little: the hog is the one to be killed.
  const bystander = startIn(one, 'exec sleep 1000');
  const { status } = await runIn(one, HOG);
  wrote(s, v2 ? 'memory.max' : 'memory.limit_in_bytes', 16 * MB);
  s.evidence('at the limit', {
    'the hog': ending(status),
    'a bystander in its group': isAlive(bystander) ? 'lives' : 'is dead',
    oom_kill: one.stats().memory.oomKills,
  });
  s.claim('one is killed, and counted', status.kind === 'signaled' && one.stats().memory.oomKills === 1);
  s.claim('the bystander lives', isAlive(bystander));
  one.kill();
  await waitAsync(bystander);
  if (!v2) return waitsInstead(s);
  const all = group(s, 'all', { memory: limit, unified: { 'memory.oom.group': '1' } });
  withoutSwap(all);
  wrote(s, 'memory.oom.group', 1);
  const other = startIn(all, 'exec sleep 1000');
  await runIn(all, HOG);
  const end = await waitAsync(other);
  const { oom_kill: killed, oom_group_kill: groups } =
    readKeyed(join(all.paths()['']!, 'memory.events')) ?? {};
  s.evidence('with memory.oom.group', {
    'the bystander': ending(end),
    oom_kill: killed,
    oom_group_kill: groups,
  });
  s.claim('all are killed', end.kind === 'signaled' && (killed ?? 0) >= 2 && groups === 1);
}

/** v1 has no oom.group. It has something else: nobody is killed, and who wants memory waits (docker run --oom-kill-disable). */
async function waitsInstead(s: Step): Promise<void> {
  s.note('memory.oom.group is v2’s alone. What v1 has instead: nobody is killed, and who wants memory waits');
  const cgroup = group(s, 'waits', { memory: { limit: 16 * MB, disableOOMKiller: true } });
  withoutSwap(cgroup);
  wrote(s, 'memory.oom_control', 1);
  const pid = startIn(cgroup, DOUBLING);
  const control = (): Record<string, number> =>
    readKeyed(join(cgroup.paths()['memory']!, 'memory.oom_control')) ?? {};
  const waited = await eventually(() => control()['under_oom'] === 1);
  s.evidence('memory.oom_control', control());
  s.claim('it waits, and is not killed', waited && isAlive(pid));
  cgroup.set({ memory: { limit: -1 } });
  const status = await waitAsync(pid);
  s.claim('given memory, it goes on to its end', status.kind === 'exited' && status.code === 0);
}

async function belowUse(s: Step): Promise<void> {
  const cgroup = group(s, 'below', { memory: { limit: 64 * MB } });
  withoutSwap(cgroup);
  const pid = startIn(cgroup, 'exec dd if=/dev/zero of=/dev/null bs=32M 2>/dev/null');
  await eventually(() => cgroup.stats().memory.usage > 32 * MB);
  const refusal = (checkBeforeUpdate: boolean): string => {
    try {
      cgroup.set({ memory: { limit: 8 * MB, checkBeforeUpdate } });
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const careful = refusal(true);
  s.evidence('8 MB for a program that holds 32', { 'with checkBeforeUpdate': careful });
  s.claim('refused, and nobody is harmed', careful !== '' && isAlive(pid));
  const plain = refusal(false);
  if (v2) {
    const status = await waitAsync(pid);
    s.evidence('without', { 'the write': plain || 'is taken', 'the program': ending(status) });
    s.claim('taken, and the program is killed', plain === '' && status.kind === 'signaled');
    return;
  }
  await setTimeout(100);
  s.evidence('without', { 'the write': plain, 'the program': isAlive(pid) ? 'lives' : 'is dead' });
  s.claim('v1 refuses it in any case', /bytes are in use/.test(plain) && isAlive(pid));
  cgroup.kill();
  await waitAsync(pid);
}

/** Takes swap away from a group, where the machine counts it: what can be swapped out needs not be killed. */
function withoutSwap(cgroup: Cgroup): void {
  const { limit, swapLimit } = cgroup.stats().memory;
  if (swapLimit !== undefined) cgroup.set({ memory: { limit, swap: limit } });
}
