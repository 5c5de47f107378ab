import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const bench = (...args: string[]) =>
  spawnSync('node_modules/.bin/tsx', ['final/suite.ts', 'bench', 'images', ...args], {
    cwd: join(import.meta.dirname, '../..'),
    encoding: 'utf8',
    timeout: 240_000,
  });

/** What the benchmark could leave: its folder, and what is mounted there. */
function left(): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return [
    ...readdirSync(tmpdir()).filter((name) => name.startsWith('bench-images-')),
    ...mounts.filter((line) => line.includes('bench-images-')),
  ];
}

test(
  'the images’ benchmark has every contender do its work, and leaves nothing',
  { timeout: 300_000 },
  () => {
    const before = left();
    const { status, stdout, stderr } = bench('--json', '--rounds', '1', '--percent', '1');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { rows } = JSON.parse(stdout) as {
      rows: { what: string; who: string; time?: number; peak?: number; why?: string }[];
    };
    const done = (who: string): string[] =>
      rows.flatMap((row) => (row.who === who && row.time !== undefined ? [row.what.split(' of ')[0]!] : []));
    expect(done('chapter 04')).toEqual(['pull', 'unpack', 'pull and unpack', 'commit', 'diff']);
    expect(done('skopeo, umoci')).toEqual(['pull', 'unpack', 'pull and unpack', 'commit']);
    expect(done('dockerd')).toEqual(['pull and unpack', 'commit', 'diff']);
    for (const { what, who, time, peak, why } of rows)
      if (time === undefined) expect(why, `${what}, ${who}`).toBe('does not do it by itself');
      else expect(Math.min(time, peak!), `${what}, ${who}`).toBeGreaterThan(0);
    // Files and bytes are fewer, and told so.
    expect(rows.map(({ what }) => what)).toContain('diff of 1,000 new files');
    expect(left().filter((name) => !before.includes(name))).toEqual([]);
  },
);

test('options that are none are refused', () => {
  const { status, stderr } = bench('--percent', '101');
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: expect.stringContaining('--percent 101: give a number from 1 to 100') as string,
  });
});
