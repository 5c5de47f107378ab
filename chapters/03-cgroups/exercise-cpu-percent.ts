import { expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { cpuPercent, type CpuSample } from './stats.ts';

export const percent: Exercise = {
  gap: '03.6',
  task: 'Say how much processor time a cgroup has used between two samples, as `docker stats` does: 100 is one processor, all the time.',
  hints: [
    'The counters only grow: what counts is the difference between two readings. The machine has a clock of its own, which counts the time of all processors together.',
    'Difference of usage by difference of system is the part of the whole machine. docker stats shows it as processors: times how many there are, times 100. Think of samples between which nothing has passed.',
    'used = now.usage - before.usage; passed = now.system - before.system; both above 0: used / passed * now.processors * 100; else 0.',
  ],
  check: checkPercent,
  wrong: [
    {
      mistake: 'shows the part of the whole machine',
      code: `const used = now.usage - before.usage;
const passed = now.system - before.system;
return used > 0 && passed > 0 ? (used / passed) * 100 : 0;`,
      diagnosis: 'one processor is 100',
    },
    {
      mistake: 'divides the counters instead of their differences',
      code: `return now.system > before.system && now.usage > before.usage ? (now.usage / now.system) * now.processors * 100 : 0;`,
      diagnosis: 'since the container was started',
    },
    {
      mistake: 'divides by nothing',
      code: `return Math.max(0, (now.usage - before.usage) / (now.system - before.system)) * now.processors * 100;`,
      diagnosis: 'no time has passed',
    },
    {
      mistake: 'does not think of a container that was started again',
      code: `const passed = now.system - before.system;
return passed > 0 ? ((now.usage - before.usage) / passed) * now.processors * 100 : 0;`,
      diagnosis: 'went back',
    },
    {
      mistake: 'stops at 100',
      code: `const used = now.usage - before.usage;
const passed = now.system - before.system;
return used > 0 && passed > 0 ? Math.min(100, (used / passed) * now.processors * 100) : 0;`,
      diagnosis: 'more than one processor',
    },
  ],
};

/** So many nanoseconds are a second. */
const SECOND = 1e9;

function checkPercent(t: Trial): void {
  const processors = t.number(2, 16);
  const before: CpuSample = {
    usage: t.number(100, 900) * SECOND,
    system: t.number(10_000, 90_000) * SECOND,
    processors,
  };
  const seconds = t.number(1, 9);
  /** A sample some seconds later, in which so many processors were used. */
  const after = (used: number, later = seconds): CpuSample => ({
    usage: before.usage + used * seconds * SECOND,
    system: before.system + later * processors * SECOND,
    processors,
  });
  const expectPercent = (what: string, wanted: number, now: CpuSample, cause: string): void => {
    const got = cpuPercent(before, now);
    expectThat(Math.abs(got - wanted) < 0.01, `${wanted} %, for ${what}`, `${got} %`, cause);
  };
  expectPercent(
    'a loop that had one processor all the time',
    100,
    after(1),
    'Take the differences, not the counters, which count since the container was started; and one processor is 100, however many the machine has.',
  );
  expectPercent(
    'two loops on two processors',
    200,
    after(2),
    'A container may use more than one processor: docker stats then shows more than 100.',
  );
  expectPercent('a container that slept', 0, after(0), 'Nothing used is 0.');
  expectPercent(
    'two samples at the same instant',
    0,
    after(0, 0),
    'When no time has passed there is nothing to divide by: 0, not NaN.',
  );
  expectPercent(
    'a counter that went back',
    0,
    after(-1),
    'The counter went back: the container was started again, in a new cgroup. Show 0, nothing below it.',
  );
}
