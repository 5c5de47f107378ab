import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findGaps, gapsOf, stubbed, withGap } from '../gaps.ts';
import { readSources } from '../sources.ts';

const ROOT = join(import.meta.dirname, '../..');
const FILE = 'chapters/02-x/a.ts';
const SOURCE = `/** Adds. */
export function add(a: number, b: number): number {
  //#gap 02.1 add
  // plainly
  const sum = a + b;

  return sum;
  //#end
}
`;

describe('a gap', () => {
  test('is found with its number, name, place and length', () => {
    expect(gapsOf(FILE, SOURCE)).toEqual([
      {
        id: '02.1',
        name: 'add',
        chapter: '02-x',
        file: FILE,
        line: 3,
        body: '  // plainly\n  const sum = a + b;\n\n  return sum;',
        lines: 2,
      },
    ]);
  });

  test('becomes a stub that throws, with signature and comment left', () => {
    expect(stubbed(FILE, SOURCE)).toBe(`import { NotImplemented } from '../01-processes/index.ts';
/** Adds. */
export function add(a: number, b: number): number {
  //#gap 02.1 add
  throw new NotImplemented('02.1 add');
  //#end
}
`);
  });

  test('given its own body again is the file as it was', () => {
    const stub = SOURCE.replace(/ {2}\/\/ plainly[^]*sum;\n/, '  nothing();\n');
    expect(withGap(FILE, stub, '02.1', gapsOf(FILE, SOURCE)[0]!.body)).toBe(SOURCE);
  });

  test('that is marked wrongly is an error with file and line', () => {
    expect(() => gapsOf(FILE, '//#gap 02.1 a\n')).toThrow('chapters/02-x/a.ts:1: gap 02.1 has no //#end');
    expect(() => gapsOf(FILE, '//#end\n')).toThrow('chapters/02-x/a.ts:1: //#end without a gap');
    expect(() => gapsOf(FILE, '//#gap 02.1 a\n//#gap 02.2 b\n')).toThrow(
      'a.ts:2: gap 02.2 begins inside gap 02.1',
    );
    expect(() => gapsOf(FILE, '//#gap 03.1 a\n//#end\n')).toThrow('gap 03.1 does not belong to this chapter');
    expect(() => gapsOf(FILE, '//#gap 02.1\n')).toThrow('a gap needs a number and a name');
    const twice = SOURCE.replaceAll('02.1', '02.1');
    expect(() =>
      findGaps(
        new Map([
          [FILE, SOURCE],
          ['chapters/02-x/b.ts', twice],
        ]),
      ),
    ).toThrow('gap 02.1 is there twice');
  });
});

describe('the gaps of this repository', () => {
  const sources = readSources(ROOT);
  const gaps = findGaps(sources);

  test('are at least three in every chapter, of 3 to 40 lines each', () => {
    for (const chapter of ['01', '02', '03', '04', '05', '06', '07'])
      expect(gaps.filter((gap) => gap.id.startsWith(chapter)).length, chapter).toBeGreaterThanOrEqual(3);
    for (const gap of gaps) {
      expect(gap.lines, `${gap.id} ${gap.name}`).toBeGreaterThanOrEqual(3);
      expect(gap.lines, `${gap.id} ${gap.name}`).toBeLessThanOrEqual(40);
    }
  });

  test('can all be stubs at once, and the tree still type-checks', () => {
    const tree = mkdtempSync(join(ROOT, 'node_modules', '.stubs-'));
    try {
      for (const [file, source] of sources) {
        mkdirSync(dirname(join(tree, file)), { recursive: true });
        writeFileSync(join(tree, file), file.startsWith('chapters/') ? stubbed(file, source) : source);
      }
      for (const file of ['package.json', 'tsconfig.json']) cpSync(join(ROOT, file), join(tree, file));
      symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
      // What a stub no longer uses stays imported and declared.
      const types = [
        join(ROOT, 'node_modules/.bin/tsc'),
        '--noEmit',
        '--noUnusedLocals',
        'false',
        '--allowUnreachableCode',
        'true',
        '-p',
        tree,
      ];
      expect(
        execFileSync(
          process.execPath,
          types.map((a) => a),
          { encoding: 'utf8' },
        ),
      ).toBe('');
    } finally {
      rmSync(tree, { recursive: true });
    }
    // A compiler of its own for the whole tree: a busy machine takes its time.
  }, 300_000);
});
