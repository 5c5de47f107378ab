import { expect, test } from 'vitest';
import { listings } from './zoo.ts';

test('pstree of psmisc prints of every kind of process what ours prints, character by character', async () => {
  const { theirs, ours } = await listings('pstree -pUl', 'pstree.ts');
  expect(ours).toEqual(theirs);
  expect(theirs.join('\n')).toMatch(/node\(\d+\)─┬─\{/);
  expect(theirs.join('\n')).toContain('a) R 1 (b(');
  expect(theirs.join('\n')).toContain('two\\012lines(');
});
