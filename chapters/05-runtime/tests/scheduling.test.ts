import { availableParallelism } from 'node:os';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseProcessors } from '../scheduling.ts';
import { traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterEach(() => expect(traces(bench)).toEqual([]));
afterAll(() => bench.remove());

/** A container that waits, seen from outside by `look`, and gone again. */
function inContainer<T>(change: Parameters<Workbench['bundle']>[0], look: (pid: number, id: string) => T): T {
  const id = bench.id();
  const bundle = bench.bundle((spec) => {
    spec.process.args = ['sleep', '1000'];
    change?.(spec);
  });
  expect(bench.myrunc('run', '-d', '-b', bundle, id)).toMatchObject({ status: 0, err: '' });
  try {
    return look((JSON.parse(bench.myrunc('state', id).out) as { pid: number }).pid, id);
  } finally {
    bench.myrunc('delete', '-f', id);
  }
}

/** Field 41 of proc_pid_stat(5). */
const policyOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[38]);

describe('when and where a program runs', () => {
  it('is chosen by the policy and the nice value of process.scheduler', () => {
    expect(inContainer(undefined, policyOf)).toBe(0);
    const batch = { policy: 'SCHED_BATCH', nice: 7 } as const;
    const seen = inContainer(
      (spec) => void (spec.process.scheduler = batch),
      (pid) => [
        policyOf(pid),
        Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[16]),
      ],
    );
    expect(seen).toEqual([3, 7]);
  });

  it('is refused, with the property, where the kernel refuses it', () => {
    const { status, err } = bench.run(
      'true',
      (spec) => void (spec.process.scheduler = { policy: 'SCHED_FIFO', priority: 0 }),
    );
    expect(status).toBe(1);
    expect(err).toMatch(/process\.scheduler: sched_setattr SCHED_FIFO: EINVAL/);
  });

  it('has the I/O priority of process.ioPriority', () => {
    const { out } = bench.run(
      'ionice -p 1',
      (spec) => void (spec.process.ioPriority = { class: 'IOPRIO_CLASS_BE', priority: 6 }),
    );
    expect(out.trim()).toBe('best-effort: prio 6');
  });

  it('is bound to the processors of execCPUAffinity when exec starts it', () => {
    const last = availableParallelism() - 1;
    inContainer(
      (spec) => void (spec.process.execCPUAffinity = { initial: '0', final: String(last) }),
      (_pid, id) => {
        const { out } = bench.myrunc('exec', id, 'grep', 'Cpus_allowed_list', '/proc/self/status');
        expect(out.trim().split(/\s+/)[1]).toBe(String(last));
      },
    );
  });

  it('finds another machine with linux.personality', () => {
    expect(bench.run('uname -m').out).not.toMatch(/^i.86|^armv/);
    const { out } = bench.run('uname -m', (spec) => void (spec.linux.personality = { domain: 'LINUX32' }));
    expect(out).toMatch(/^i.86|^armv/);
  });
});

it('has clocks of its own with linux.timeOffsets', () => {
  const before = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  const { out, err } = bench.run('cat /proc/uptime; cat /proc/self/timens_offsets', (spec) => {
    spec.linux.namespaces!.push({ type: 'time' });
    spec.linux.timeOffsets = { boottime: { secs: 864_000, nanosecs: 5 }, monotonic: { secs: 7 } };
  });
  expect(err).toBe('');
  expect(Number(out.split(' ')[0])).toBeGreaterThanOrEqual(before + 864_000);
  expect(out).toMatch(/monotonic\s+7\s+0\n/);
  expect(out).toMatch(/boottime\s+864000\s+5\n/);
  expect(
    bench.run('true', (spec) => void (spec.linux.timeOffsets = { boottime: { secs: 1 } })).err,
  ).toContain('linux.timeOffsets: needs a new time namespace');
});

it('reads lists of processors as the kernel does', () => {
  expect(parseProcessors('0-2, 7')).toEqual([0, 1, 2, 7]);
  for (const wrong of ['', '3-1', 'a', '1,', '-1', '0-99999'])
    expect(() => parseProcessors(wrong)).toThrow(/no list/);
});
