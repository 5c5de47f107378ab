import { randomBytes } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CONTROLLERS, createCgroup, detectCgroups } from '../index.ts';

const tsx = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'tsx');
const run = (...args: string[]) =>
  spawnSync(tsx, [join(import.meta.dirname, '../cgroups.ts'), ...args], { encoding: 'utf8' });

test('cgroups.ts says of every controller whether a limit may ask for it here', () => {
  const { stdout, stderr, status } = run();
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  const host = detectCgroups();
  expect(stdout).toContain(`layout: ${host.layout}\n`);
  for (const name of Object.keys(CONTROLLERS)) {
    const [, standing] = new RegExp(`^  ${name} +(here|in v1|in v2|unused|missing) `, 'm').exec(stdout) ?? [];
    expect(standing === 'here', `${name}: ${standing}`).toBe((host.controllers as string[]).includes(name));
  }
});

test('and of one cgroup its limits and use, of one controller its files; what is none is refused', () => {
  const cgroup = createCgroup(`/ch03-shown-${randomBytes(4).toString('hex')}`, { pids: { limit: 7 } });
  try {
    expect(run(cgroup.path).stdout).toMatch(/^ {2}memory +\d+ bytes.*\n {2}pids +0 of 7, 0 refused$/m);
  } finally {
    cgroup.remove();
  }
  expect(run('pids').stdout).toContain('pids.max');
  expect(run('/no/such')).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('there is no cgroup /no/such') as string,
  });
  expect(run('/')).toMatchObject({
    status: 1,
    stderr: 'invalid cgroup path "/": it names the top of the tree\n',
  });
  expect(run('--nope')).toMatchObject({ status: 2, stdout: '' });
});
