import { describe, expect, test } from 'vitest';
import { humanDuration, statusText } from '../container-view.ts';
import { filterContainers } from '../container-filter.ts';
import { restartPause, wantsRestart } from '../restart-policy.ts';
import { startError } from '../start-error.ts';
import { recordOf } from './records.ts';

const state = (fields: object) => recordOf({ state: { ...recordOf().state, ...fields } });

describe('what ps shows', () => {
  test('durations are rough, as Docker’s', () => {
    const shown = [0.5, 1, 59, 60, 150, 3600, 7200, 200_000, 2e6, 2e7, 1e8].map(humanDuration);
    expect(shown).toEqual([
      'Less than a second',
      '1 second',
      '59 seconds',
      'About a minute',
      '2 minutes',
      'About an hour',
      '2 hours',
      '2 days',
      '3 weeks',
      '7 months',
      '3 years',
    ]);
  });
  test('the status says how long it is up, or how it ended', () => {
    const at = Date.parse('2026-01-01T00:01:30Z');
    const startedAt = '2026-01-01T00:00:00Z';
    expect(statusText(state({ status: 'running', startedAt }), at)).toBe('Up About a minute');
    expect(statusText(state({ status: 'paused', startedAt }), at)).toBe('Up About a minute (Paused)');
    expect(statusText(state({ status: 'exited', exitCode: 3, finishedAt: startedAt }), at)).toBe(
      'Exited (3) About a minute ago',
    );
    expect(statusText(state({ status: 'created' }), at)).toBe('Created');
  });
});

describe('filters', () => {
  const records = [
    recordOf({ id: `a${'0'.repeat(63)}`, name: 'web-1', runs: { Labels: { tier: 'front' } } }),
    recordOf({
      id: `b${'0'.repeat(63)}`,
      name: 'db-1',
      state: { ...recordOf().state, status: 'exited', exitCode: 3 },
    }),
  ];
  const names = (filters: Record<string, string[]>) =>
    filterContainers(records, new Map(Object.entries(filters)), () => records[0]!).map(({ name }) => name);

  test('values of one are alternatives, several must all hold', () => {
    expect(names({})).toEqual(['web-1', 'db-1']);
    expect(names({ name: ['web', 'db'] })).toEqual(['web-1', 'db-1']);
    expect(names({ name: ['^web'], status: ['exited'] })).toEqual([]);
    expect(names({ exited: ['3'] })).toEqual(['db-1']);
    expect(names({ label: ['tier=front'] })).toEqual(['web-1']);
    expect(names({ id: ['b'] })).toEqual(['db-1']);
    expect(names({ ancestor: ['busybox'] })).toEqual(['web-1', 'db-1']);
  });
  test('a status that does not exist is refused', () => {
    expect(() => names({ status: ['happy'] })).toThrow("invalid filter 'status=happy'");
  });
});

describe('restart policies', () => {
  const of = (Name: string, fields: object, MaximumRetryCount = 0) => {
    const record = recordOf({ host: { RestartPolicy: { Name, MaximumRetryCount } as never } });
    Object.assign(record.state, fields);
    return wantsRestart(record);
  };
  test('say who is started again', () => {
    expect(of('no', { exitCode: 1 })).toBe(false);
    expect(of('always', { exitCode: 0 })).toBe(true);
    expect(of('always', { exitCode: 0, stoppedByHand: true })).toBe(false);
    expect(of('on-failure', { exitCode: 0 })).toBe(false);
    expect(of('on-failure', { exitCode: 1 })).toBe(true);
  });
  test('the pause doubles, and is short again after a long run', () => {
    const ran = (seconds: number, restartCount: number) =>
      restartPause({
        restartCount,
        state: {
          ...recordOf().state,
          startedAt: new Date(0).toISOString(),
          finishedAt: new Date(seconds * 1000).toISOString(),
        },
      });
    expect([0, 1, 2, 3].map((count) => ran(1, count))).toEqual([100, 200, 400, 800]);
    expect(ran(1, 30)).toBe(60_000);
    expect(ran(11, 30)).toBe(100);
  });
});

describe('a start that fails', () => {
  const of = (words: string) => startError(new Error(words));
  test('says whose fault it is, with a shell’s status', () => {
    expect(of('exec: "x": executable file not found in $PATH')).toMatchObject({ exitCode: 127, status: 400 });
    expect(of('exec: "/x": permission denied')).toMatchObject({ exitCode: 126, status: 400 });
    expect(of('something else')).toMatchObject({ exitCode: 128, status: 500 });
  });
  test('says what containerd and the runtime said, once', () => {
    expect(of('tasks.create: Unknown: OCI runtime create failed: x').message).toBe(
      'failed to create task for container: OCI runtime create failed: x',
    );
  });
});
