import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isErrno, listPids, readCmdline, readStat, readStatus } from '../../01-processes/index.ts';
import { visitor, type Visitor } from './person.ts';
import { eventually, traces, workbench, type Said, type Workbench } from './workbench.ts';

let bench: Workbench;
let her: Visitor;
beforeAll(async () => {
  bench = await workbench();
  her = visitor(bench.dir);
});
afterAll(() => {
  eventually(() => {
    const left = listPids().filter(mine); // what podman keeps for its next call
    for (const pid of left)
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (!isErrno(error, 'ESRCH')) throw error; // it was faster
      }
    return left.length === 0;
  });
  expect(traces(bench)).toEqual([]);
  bench.remove();
});

/** Whether a process is the person's, and runs: podman leaves one that holds its user namespace. */
const mine = (pid: number): boolean =>
  readStatus(pid)?.uid.real === her.person.uid && (readStat(pid)?.state ?? 'Z') !== 'Z';

it('podman without root runs, execs in, stops and removes containers with it', () => {
  const podman = (...args: string[]): Said =>
    her.call(
      '/usr/bin/podman',
      ...['--log-level=error', '--storage-driver', 'vfs', '--events-backend', 'none'],
      ...['--cgroup-manager', 'cgroupfs', '--runtime', bench.program, ...args],
    );
  const rootfs = join(bench.bundle(), 'rootfs');
  spawnSync('chown', ['-hR', `${her.person.uid}:${her.person.gid}`, rootfs]); // podman adds files to it
  const run = ['run', '--network', 'none', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];
  const script = 'id -u; echo $(cat /proc/self/uid_map); echo err >&2; exit 5';
  expect(podman(...run, '--rm', '--rootfs', rootfs, 'sh', '-c', script)).toEqual({
    status: 5,
    out: `0\n0 ${her.person.uid} 1 1 ${her.lent.first} ${her.lent.count}\n`,
    err: 'err\n',
  });
  const name = bench.id();
  expect(podman(...run, '--detach', '--name', name, '--rootfs', rootfs, 'sleep', '1000')).toMatchObject({
    status: 0,
    err: '',
  });
  const pid = Number(podman('inspect', '-f', '{{.State.Pid}}', name).out);
  expect(eventually(() => readCmdline(pid)?.join(' ') === 'sleep 1000')).toBe(true);
  expect(mine(pid)).toBe(true);
  expect(podman('exec', name, 'sh', '-c', 'echo in; exit 6')).toMatchObject({ status: 6, out: 'in\n' });
  expect(podman('stop', '--time', '0', name).status).toBe(0);
  expect(podman('rm', '--force', name).status).toBe(0);
  expect(existsSync(`/proc/${pid}/exe`)).toBe(false);
});
