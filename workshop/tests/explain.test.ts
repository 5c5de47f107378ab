import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { explain } from '../commands/check.ts';
import { selectGap } from '../learner.ts';

const said = (of: string): string =>
  stripVTControlCharacters(explain(selectGap('02.3'), { verdict: 'not started', gap: of }));

test('a check that comes to another gap that is empty names that one, and its hint', () => {
  expect(said('01.2 fork')).toMatch(/^02\.3 enterRoot: not started: it needs 01\.2 first\n/);
  expect(said('01.2 fork')).toContain('npm run hint 01.2');
});

test('a gap that is empty itself is not started, and its own hint is offered', () => {
  expect(said('02.3 enterRoot')).toMatch(/^02\.3 enterRoot: not started\n/);
  expect(said('02.3 enterRoot')).toContain('npm run hint 02.3');
});
