import { expect, test } from 'vitest';
import { explain } from '../coach.ts';

test('the coach says nothing of what is no failed call', () => {
  expect(explain(new TypeError('mine'))).toBeUndefined();
  expect(explain('text')).toBeUndefined();
});
