import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importBreaches } from '../imports.ts';
import { readSources } from '../sources.ts';

const breaches = (files: Record<string, string>): string[] => importBreaches(new Map(Object.entries(files)));

test('every import in the repository keeps to the layers', () => {
  const sources = readSources(join(import.meta.dirname, '../..'));
  expect([...sources.keys()].filter((f) => f.endsWith('/index.ts')).length).toBeGreaterThanOrEqual(7);
  expect(importBreaches(sources)).toEqual([]);
});

describe('a breach is found:', () => {
  const one = { 'chapters/01-a/index.ts': '', 'chapters/01-a/x.ts': '' };

  test('a chapter that imports a later one', () => {
    expect(
      breaches({
        'chapters/01-a/x.ts': `import { y } from '../02-b/index.ts';`,
        'chapters/02-b/index.ts': '',
      }),
    ).toEqual([
      'chapters/01-a/x.ts imports chapters/02-b/index.ts: a chapter imports chapters before it alone',
    ]);
  });

  test('a chapter that reaches behind the index of an earlier one', () => {
    expect(breaches({ ...one, 'chapters/02-b/y.ts': `export * from '../01-a/x.ts';` })).toEqual([
      `chapters/02-b/y.ts imports chapters/01-a/x.ts: other parts may import a chapter's index.ts alone`,
    ]);
  });

  test('what tests share, imported by the chapter itself, or by the tests of an earlier one', () => {
    const shared = { 'chapters/01-a/tests/run.ts': '', 'chapters/02-b/tests/run.ts': '' };
    const both = {
      ...shared,
      'chapters/02-b/tests/x.test.ts': `import { r } from '../../01-a/tests/run.ts';`,
    };
    expect(breaches(both)).toEqual([]);
    expect(breaches({ ...both, 'chapters/02-b/y.ts': `import { r } from '../01-a/tests/run.ts';` })).toEqual([
      `chapters/02-b/y.ts imports chapters/01-a/tests/run.ts: other parts may import a chapter's index.ts alone`,
    ]);
    expect(
      breaches({
        ...shared,
        'chapters/01-a/tests/x.test.ts': `import { r } from '../../02-b/tests/run.ts';`,
      }),
    ).toEqual([
      'chapters/01-a/tests/x.test.ts imports chapters/02-b/tests/run.ts: a chapter imports chapters before it alone',
    ]);
  });

  test('a chapter that imports final or the workshop, also late', () => {
    expect(
      breaches({
        'chapters/01-a/x.ts': `import '../../final/f.ts';\nconst w = await imp${''}ort('../../workshop/w.ts');`,
        'final/f.ts': '',
        'workshop/w.ts': '',
      }),
    ).toEqual([
      'chapters/01-a/x.ts imports final/f.ts: a part of its own: final',
      'chapters/01-a/x.ts imports workshop/w.ts: a part of its own: workshop',
    ]);
  });

  test('koffi outside a syscalls.ts', () => {
    expect(
      breaches({
        'chapters/01-a/syscalls.ts': `import koffi from 'koffi';`,
        'final/f.ts': `import koffi from 'koffi';`,
      }),
    ).toEqual([`final/f.ts imports koffi: only a chapter's syscalls.ts may`]);
  });

  test('a circle, but not one of types', () => {
    expect(
      breaches({
        'workshop/a.ts': `import {\n  b,\n} from './b.ts';`,
        'workshop/b.ts': `import { a } from './a.ts';`,
      }),
    ).toEqual(['a circle of imports: workshop/a.ts → workshop/b.ts → workshop/a.ts']);
    expect(
      breaches({
        'workshop/a.ts': `import { b } from './b.ts';`,
        'workshop/b.ts': `import type { A } from './a.ts';`,
      }),
    ).toEqual([]);
  });

  test('a file that does not exist', () => {
    expect(breaches({ 'workshop/a.ts': `import './gone.ts';` })).toEqual([
      'workshop/a.ts imports ./gone.ts: there is no workshop/gone.ts',
    ]);
  });
});
