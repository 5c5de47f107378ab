import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCgroups } from '../../01-processes/index.ts';
import { openCgroup } from '../../03-cgroups/index.ts';
import { joinCgroup } from '../exec-cgroup.ts';
import { traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
let id: string;
let pid: number;
beforeAll(async () => {
  bench = await workbench();
  id = bench.id();
  bench.myrunc(
    'run',
    '-d',
    '-b',
    bench.bundle((spec) => void (spec.process.args = ['sleep', '1000'])),
    id,
  );
  ({ pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number });
});
afterAll(() => {
  bench.myrunc('delete', '-f', id);
  expect(traces(bench)).toEqual([]);
  bench.remove();
});

it('keeps --cgroup below the container’s own, and names what is not there', () => {
  const own = readCgroups(pid)!.find(({ path }) => path.includes('ch05-'))!.path;
  expect(bench.myrunc('exec', '--cgroup', '/', id, 'true')).toMatchObject({ status: 0, err: '' });
  for (const [words, text] of [
    [['--cgroup', '..'], '.. is not a sub cgroup path'],
    [['--cgroup', 'nonexistent'], `${own}/nonexistent/cgroup.procs: no such file or directory`],
    [['--cgroup', 'whaaat:/'], 'unknown controller whaaat'],
    [['--cgroup', 'a:b:c'], 'invalid --cgroup argument'],
    [['--cgroup', 'a', '--cgroup', 'b'], 'missing <controller>: prefix'],
  ] as const)
    expect(bench.myrunc('exec', ...words, id, 'true')).toMatchObject({
      status: 255,
      err: expect.stringContaining(text),
    });
});

it('never writes outside, also when the path only begins alike', () => {
  const cgroup = openCgroup('/ch05-none');
  expect(() => joinCgroup({ cgroup }, process.pid, ['../ch05-none2'])).toThrow('not a sub cgroup path');
});

it('hands on descriptors of the caller by --preserve-fds, and none of its own', () => {
  const file = join(bench.dir, 'passed');
  writeFileSync(file, 'from the caller');
  const passed = openSync(file, 'r');
  const out = join(bench.dir, 'passed-out');
  const outFd = openSync(out, 'w');
  const list = (count: number, ...extra: number[]): string => {
    writeFileSync(out, '');
    spawnSync(
      bench.program,
      ['--root', bench.root, 'exec', `--preserve-fds=${count}`, id, 'sh', '-c', 'cat <&3; ls /proc/self/fd'],
      { stdio: ['ignore', outFd, 'inherit', ...extra], timeout: 60_000 },
    );
    return readFileSync(out, 'utf8');
  };
  try {
    expect(list(1, passed)).toBe('from the caller0\n1\n2\n3\n4\n'); // 4: the directory that ls reads
    const { status, err } = bench.myrunc('exec', '--preserve-fds=2', id, 'true');
    expect(status).toBe(255);
    expect(err).toMatch(/descriptor \d of 3 to 4 is not open/);
  } finally {
    closeSync(passed);
    closeSync(outFd);
  }
});
