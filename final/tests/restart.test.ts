import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isRunning, kill, readStatus, SIGNALS } from '../../chapters/01-processes/index.ts';
import { processes, supervisorPid } from '../engine.ts';
import { eventually, startTestEngine, type TestEngine } from './harness.ts';
import { folders } from './machine.ts';

const SIGKILL = SIGNALS['SIGKILL']!;

let t: TestEngine;
let name: string;
beforeAll(async () => void (t = await startTestEngine()));
afterAll(() => t?.stop());
beforeEach(() => void (name = t.name()));

/** Counts, a line each 10 ms or so, until it is told to stop; then ends with status 21. */
const COUNT = 'trap "exit 21" TERM; i=0; while true; do i=$((i+1)); echo $i; usleep 10000; done';

function startCounting(): { pid: number; id: string } {
  t.mydocker(['run', '-d', '--name', name, 'busybox', 'sh', '-c', COUNT]);
  const { Id, State } = t.inspect(name);
  return { pid: State.Pid, id: Id };
}

/** What has been counted: every number once, in order, or the test fails. Returns the last. */
function countedWithoutGap(): number {
  const numbers = t.type(`logs ${name}`).stdout.split('\n').filter(Boolean).map(Number);
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  return numbers.length;
}

async function killAndWait(pid: number): Promise<void> {
  kill(pid, SIGKILL);
  await eventually(`${pid} is gone`, () => !isRunning(pid));
}

const shimOf = (pid: number): number => readStatus(pid)!.ppid;

/** After the daemons are back: it is the same process, nothing of its output is lost, stop and its exit status work. */
async function expectUnharmed(pid: number, countedBefore: number): Promise<void> {
  expect(t.inspect(name).State).toMatchObject({ Status: 'running', Pid: pid });
  await eventually('it counts on', () => countedWithoutGap() > countedBefore);
  expect(t.type(`stop ${name}`).status).toBe(0);
  expect(t.inspect(name).State).toMatchObject({ Status: 'exited', ExitCode: 21 });
  countedWithoutGap();
  expect(t.type(`rm ${name}`).status).toBe(0);
}

describe('a running container', () => {
  test('outlives kill -9 of mydockerd', async () => {
    const { pid } = startCounting();
    await eventually('it counts', () => countedWithoutGap() > 5);
    const before = countedWithoutGap();
    await killAndWait(t.engine.pid);
    expect(isRunning(pid)).toBe(true);
    await t.restart();
    await expectUnharmed(pid, before);
  });

  test('outlives kill -9 of mycontainerd, which mydockerd starts again', async () => {
    const { pid } = startCounting();
    await eventually('it counts', () => countedWithoutGap() > 5);
    const supervisor = supervisorPid(t.engine)!;
    const before = countedWithoutGap();
    await killAndWait(supervisor);
    expect(isRunning(pid)).toBe(true);
    await eventually(
      'another mycontainerd runs',
      () => ![undefined, supervisor].includes(supervisorPid(t.engine)),
    );
    await expectUnharmed(pid, before);
  });

  for (const order of ['mydockerd, then mycontainerd', 'mycontainerd, then mydockerd'])
    test(`outlives kill -9 of ${order}`, async () => {
      const { pid } = startCounting();
      await eventually('it counts', () => countedWithoutGap() > 5);
      const before = countedWithoutGap();
      const victims = [t.engine.pid, supervisorPid(t.engine)!];
      if (order.startsWith('mycontainerd')) victims.reverse();
      for (const victim of victims) await killAndWait(victim);
      expect(isRunning(pid)).toBe(true);
      await t.restart();
      await expectUnharmed(pid, before);
    });

  test('that ends while both are dead is found ended, with its status and its last words', async () => {
    t.mydocker([
      'run',
      '-d',
      '--name',
      name,
      'busybox',
      'sh',
      '-c',
      'trap "echo last words; exit 33" TERM; echo up; while true; do usleep 10000; done',
    ]);
    const { Pid } = t.inspect(name).State;
    await eventually('it is up', () => t.type(`logs ${name}`).stdout === 'up\n');
    await killAndWait(t.engine.pid);
    await killAndWait(supervisorPid(t.engine)!);
    kill(Pid, SIGNALS['SIGTERM']!);
    await eventually('it ended', () => !isRunning(Pid));
    await t.restart();
    await eventually('its end is known', () => !t.inspect(name).State.Running);
    expect(t.inspect(name).State).toMatchObject({ Status: 'exited', ExitCode: 33 });
    expect(t.type(`logs ${name}`).stdout).toBe('up\nlast words\n');
    expect(t.type(`rm ${name}`).status).toBe(0);
  });

  test('has no myrunc beside it once it is created', () => {
    const { id } = startCounting();
    const runtimes = processes().filter(
      ({ args }) => args.some((a) => a.endsWith('/myrunc')) && args.includes(id),
    );
    expect(runtimes).toEqual([]);
    t.type(`rm -f ${name}`);
  });
});

describe('when the shim is killed', () => {
  test('the container’s end is reported, and nothing stays behind', async () => {
    const { pid, id } = startCounting();
    await killAndWait(shimOf(pid));
    await eventually('the end is reported', () => t.inspect(name).State.Status === 'exited');
    expect(t.inspect(name).State.ExitCode).toBe(137);
    await eventually('its process is gone', () => !isRunning(pid));
    expect(folders('/sys/fs/cgroup', 8).filter((path) => path.endsWith(id))).toEqual([]);
    const bundle = join(t.engine.execRoot, 'containerd/io.containerd.runtime.v2.task/mydocker', id);
    await eventually('its bundle is gone', () => !existsSync(bundle));
    expect(t.type(`start ${name}`).status).toBe(0);
    expect(t.type(`rm -f ${name}`).status).toBe(0);
  });
});
