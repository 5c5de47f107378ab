import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeSite } from '../site.ts';
import { slides } from '../slides.ts';

let dir: string;
// All lessons, with their code highlighted: a busy machine takes its time.
beforeAll(() => void writeSite(join((dir = mkdtempSync(join(tmpdir(), 'book-'))), 'book')), 300_000);
afterAll(() => rmSync(dir, { recursive: true }));

test('the written book is read from the disk: each link of each page is relative and leads to a file', () => {
  const pages = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.html'),
  );
  expect(pages.length).toBeGreaterThan(8);
  for (const name of pages)
    for (const [, link = ''] of readFileSync(join(dir, name), 'utf8').matchAll(
      /<[^>]*\s(?:href|src)="([^"#:]+)[#"]/g,
    ))
      expect(existsSync(join(dir, dirname(name), link)), `${name} → ${link}`).toBe(true);
});

test('the search knows every chapter', () => {
  const index = readFileSync(join(dir, 'book/search.js'), 'utf8');
  for (const word of ['waitpid', 'pivot_root', 'cgroup.procs', 'whiteout', 'ttrpc'])
    expect(index).toContain(word);
});

test('slides are a section each', () => {
  const lesson = {
    slug: 'x',
    title: 'T',
    html: '<h1>T</h1><h2 id="a">A</h2><h2 id="b">B</h2>',
    sections: [],
  };
  expect(slides(lesson).match(/<section>/g)).toHaveLength(3);
});
