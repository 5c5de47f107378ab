import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from './demo-kit.ts';
import { eventually, folderOf, sleeps, start } from './demo-support.ts';
import {
  fork,
  formatPstree,
  formatPsTree,
  getpid,
  namespacesOf,
  processTree,
  readCgroups,
  readCmdline,
  readEnviron,
  readExe,
  readFds,
  readLimits,
  readMountinfo,
  readRootAndCwd,
  readSmapsRollup,
  readStat,
  readStatus,
  subtree,
  waitpid,
} from './index.ts';

/** Steps about reading: what /proc says of a process, what it says of one that changes, and the tree made from it. */

export async function folder(s: Step): Promise<void> {
  const pid = await start(s, ['/bin/sleep', '1000'], () => {}, ['COLOUR=blue']);
  await eventually(() => sleeps(pid)); // it has loaded
  s.call(`read("/proc/${pid}/stat")`, readFileSync(`/proc/${pid}/stat`, 'utf8').slice(0, 40) + '…');
  const [stat, status, limits] = [readStat(pid)!, readStatus(pid)!, readLimits(pid)!];
  s.evidence(`process ${pid}, file by file`, {
    stat: `${stat.comm}, state ${stat.state}, parent ${stat.ppid}, group ${stat.pgrp}, session ${stat.session}`,
    status: `user ${status.uid.effective}, ${status.threads} thread, ${status.rss / 1024} kB in memory`,
    cmdline: JSON.stringify(readCmdline(pid)),
    environ: JSON.stringify(readEnviron(pid)),
    cgroup: readCgroups(pid)!
      .map(({ hierarchy, path }) => `${hierarchy}:${path}`)
      .slice(0, 3)
      .join(' '),
    ns: `${namespacesOf(pid)!['pid']} ${namespacesOf(pid)!['mnt']}`,
    mountinfo: `${readMountinfo(pid)!.length} mounts, the first on ${readMountinfo(pid)![0]!.mountPoint}`,
    fd: readFds(pid)!
      .map(({ fd, target }) => `${fd}→${target}`)
      .join(' '),
    exe: readExe(pid)!.path,
    root: readRootAndCwd(pid)!.root,
    limits: `${limits['open files']!.soft} open files, ${limits['stack size']!.soft} bytes of stack`,
    smaps_rollup: `${readSmapsRollup(pid)!['Pss']! / 1024} kB, shared pages by share`,
  });
  s.claim('its parent is this program', stat.ppid === getpid());
  s.claim(
    'its arguments and its environment are as they were given',
    readCmdline(pid)![1] === '1000' && readEnviron(pid)!.includes('COLOUR=blue'),
  );
  s.claim(
    'it is in every namespace that we are in',
    JSON.stringify(namespacesOf(pid)) === JSON.stringify(namespacesOf('self')),
  );
}

export async function moment(s: Step): Promise<void> {
  const odd = await start(s, ['/bin/sh', '-c', 'printf "a) R 1 (b" >/proc/$$/comm; kill -STOP $$']);
  await eventually(() => readStat(odd)?.state === 'T');
  const { comm, state, ppid } = readStat(odd)!;
  s.evidence('a program may be called anything', {
    'the line': readFileSync(`/proc/${odd}/stat`, 'utf8').slice(0, 34) + '…',
    'taken apart': `name ${JSON.stringify(comm)}, state ${state}, parent ${ppid}`,
  });
  s.claim('and it is still read rightly', state === 'T' && ppid === getpid());
  const folder = folderOf(s);
  const program = join(folder, 'sleep');
  copyFileSync('/bin/sleep', program);
  writeFileSync(join(folder, 'secret'), 'still here');
  const pid = await start(s, ['/bin/sh', '-c', `exec 7<${folder}/secret; exec ${program} 1000`]);
  await eventually(() => sleeps(pid));
  rmSync(program);
  rmSync(join(folder, 'secret'));
  s.call(`unlink("${program}")`, 0);
  const file = readFds(pid)!.find(({ fd }) => fd === 7)!;
  s.evidence('its program and its file are deleted while it runs', {
    exe: `${readExe(pid)!.path}, deleted: ${readExe(pid)!.deleted}`,
    'fd 7': `${file.target}, deleted: ${file.deleted}`,
    [`/proc/${pid}/fd/7`]: JSON.stringify(readFileSync(`/proc/${pid}/fd/7`, 'utf8')),
  });
  s.claim('both are gone by name', readExe(pid)!.deleted && file.deleted === true);
  s.claim(
    'and both are there as long as somebody holds them',
    readFileSync(`/proc/${pid}/fd/7`, 'utf8') === 'still here',
  );
  const gone = fork(() => 0);
  waitpid(gone);
  s.evidence(`process ${gone} has come and gone`, { 'what readStat says': readStat(gone) });
  s.claim('that is an answer, and no error', readStat(gone) === undefined && readFds(gone) === undefined);
}

export async function tree(s: Step): Promise<void> {
  const script = 'sleep 1001 & sh -c "sleep 1002 & exec sleep 1003" & exec sleep 1000';
  const pid = await start(s, ['/usr/bin/setsid', '/bin/sh', '-c', script]);
  const ours = () => subtree(processTree(), pid);
  const family = () => [ours()!, ...ours()!.children.flatMap((one) => [one, ...one.children])];
  const grown = (): boolean => family().length === 4 && family().every((one) => sleeps(one.pid));
  await eventually(grown);
  for (const child of family().slice(1))
    s.cleanup(`end process ${child.pid}`, () => void process.kill(child.pid, 'SIGKILL'));
  s.call('for each number in /proc: read stat, status, cmdline; hang it under its parent', 'a tree');
  s.evidence('made from /proc', {
    'as ps axjf draws it': `\n${formatPsTree([ours()!])}`,
    'as pstree -p draws it': `\n${formatPstree(ours()!)}`,
  });
  s.claim(
    'two children, and one grandchild',
    ours()!.children.length === 2 && ours()!.children.flatMap((child) => child.children).length === 1,
  );
}
