import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isAlive } from '../../chapters/01-processes/index.ts';
import { demoParts } from '../demos.ts';
import { chapterSlugs } from '../lesson.ts';
import { copyWorkshop, type WorkshopCopy } from './workshop-copy.ts';

let copy: WorkshopCopy;
beforeAll(() => {
  copy = copyWorkshop();
  for (const { file } of demoParts('03-cgroups', copy.root)) rmSync(file);
});
afterAll(() => copy.remove());

/** Puts a part of chapter 3's demo in the copy: one step, with this body. */
function part(name: string, body: string): void {
  const text = `import { demo } from '../01-processes/index.ts';
await demo('part ${name}', async (d) => {
  await d.step('a step', { why: 'a reason', run: async (s) => { ${body} } });
});
`;
  writeFileSync(join(copy.root, 'chapters/03-cgroups', name), text);
}

test('every chapter’s demo begins with demo.ts', () => {
  for (const slug of chapterSlugs()) expect(demoParts(slug)[0]?.name, slug).toBe('');
  const { file } = demoParts('03-cgroups')[0]!;
  expect(file.endsWith('chapters/03-cgroups/demo.ts')).toBe(true);
});

test('runs the parts one after the other, on to the last, and fails when one has', () => {
  part('demo.ts', 's.claim("one", true);');
  part('demo-b.ts', 's.claim("two", false);');
  part('demo-c.ts', 's.claim("three", true);');
  writeFileSync(join(copy.root, 'chapters/03-cgroups/demo-support.ts'), 'export {};\n');
  const { stdout, status } = copy.run('demo', '03');
  expect(stdout.match(/part \S+|[✓✗] \w+/g)).toEqual([
    ...['part demo.ts', '✓ one', 'part demo-b.ts', '✗ two', 'part demo-c.ts', '✓ three'],
  ]);
  expect(status).toBe(1);
  const one = copy.run('demo', '03', 'c', '--json');
  expect(JSON.parse(one.stdout)).toMatchObject({ title: 'part demo-c.ts', held: true });
  expect(one.status).toBe(0);
});

test('refuses a part that is not there, with those that are', () => {
  const { stderr, status } = copy.run('demo', '03', 'd');
  expect(stderr).toBe('✗ the demo of 03-cgroups has no part d. There are: first, b, c\n');
  expect(status).toBe(2);
});

test('ended, it waits until the part has taken away what it made, and runs no further one', async () => {
  part(
    'demo.ts',
    's.cleanup("what it made", () => undefined); s.note(`waits as ${process.pid}`); await new Promise((r) => setTimeout(r, 1e6));',
  );
  const { child, said, status } = copy.start('demo', '03');
  child.stdout!.on('data', () => /waits as/.test(said()) && child.kill('SIGTERM'));
  expect(await status).toBe(143);
  expect(isAlive(Number(/waits as (\d+)/.exec(said())![1]))).toBe(false);
  expect(said()).not.toContain('part demo-b.ts');
});
