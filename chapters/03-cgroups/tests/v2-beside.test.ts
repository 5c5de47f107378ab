import { randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { execve, fork, getpid, waitpid } from '../../01-processes/index.ts';
import { CLONE, mount, MS, unshare } from '../../02-namespaces/index.ts';
import { createCgroup, DEFAULT_DEVICE_RULES, detectCgroups } from '../index.ts';

/** How `body` ended in a child that sees the tree of v2 alone, as on a v2 machine; on a hybrid one it has no controllers. */
function onV2(body: () => number): number {
  const pid = fork(() => {
    unshare(CLONE.NEWNS);
    mount({ target: '/', flags: MS.REC | MS.PRIVATE });
    if (detectCgroups().layout !== 'v2')
      mount({ source: 'cgroup2', target: '/sys/fs/cgroup', type: 'cgroup2' });
    return body();
  });
  const status = waitpid(pid);
  return status.kind === 'exited' ? status.code : 128;
}

test('where only the tree of v2 is to be seen, the layout is v2', () => {
  expect(onV2(() => (detectCgroups().layout === 'v2' ? 0 : 1))).toBe(0);
});

test('on v2 the devices of a container are judged by a program, which a later one replaces', () => {
  const path = `/ch03-${randomBytes(5).toString('hex')}`;
  const result = onV2(() => {
    const cgroup = createCgroup(path, { devices: [{ allow: false }, ...DEFAULT_DEVICE_RULES] });
    try {
      const opens = (device: string): boolean => {
        const pid = fork(() => {
          cgroup.add(getpid());
          execve('/bin/sh', ['sh', '-c', `exec 2>&-; : <${device}`], []);
        });
        return JSON.stringify(waitpid(pid)) === '{"kind":"exited","code":0}';
      };
      const seen = [opens('/dev/zero'), opens('/dev/kmsg')];
      cgroup.set({ devices: [{ allow: true }, { allow: false, type: 'c', major: 1, minor: 5 }] });
      seen.push(opens('/dev/zero'), opens('/dev/kmsg'));
      if (seen.join() === 'true,false,false,true') return 0;
      writeSync(2, `${seen.join()}\n`);
      return 1;
    } finally {
      cgroup.kill();
      cgroup.remove();
      if (cgroup.exists()) throw new Error('it is still there');
    }
  });
  expect(result).toBe(0);
  expect(spawnSync('head', ['-c', '1', '/dev/zero']).status).toBe(0);
});

test('on v2 a controller that the tree lacks is an error that leaves nothing', () => {
  const path = `/ch03-${randomBytes(5).toString('hex')}`;
  const result = onV2(() => {
    if (detectCgroups().controllers.includes('rdma')) return 0;
    try {
      createCgroup(path, { rdma: { mlx5_0: { hcaHandles: 1 } } });
      return 1;
    } catch (error) {
      return /rdma needs the rdma controller/.test(String(error)) ? 0 : 2;
    }
  });
  expect(result).toBe(0);
});
