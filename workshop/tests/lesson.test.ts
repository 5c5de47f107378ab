import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chapterSlugs, renderChapter, renderLesson } from '../lesson.ts';
import { region } from '../regions.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'lesson-'));
  mkdirSync(join(dir, '01-x'));
  writeFileSync(
    join(dir, '01-x', 'a.ts'),
    'x();\n  //#region part\n  if (a < b) {\n    c();\n  }\n  //#endregion\ny();\n',
  );
});
afterAll(() => rmSync(dir, { recursive: true }));

function render(markdown: string) {
  const path = join(dir, '01-x', 'README.md');
  writeFileSync(path, markdown);
  return renderLesson(path);
}

describe('a lesson', () => {
  test('has its first heading as title and its second-level headings as sections', () => {
    expect(render('# The `x` of it\n\n## One, *two*\n\n## Three\n')).toMatchObject({
      title: 'The x of it',
      sections: [
        { id: 'one-two', text: 'One, two' },
        { id: 'three', text: 'Three' },
      ],
    });
  });

  test('quotes a region of the source where a link stands alone', () => {
    const { html } = render(
      'Before.\n\n[a.ts › part](a.ts#part)\n\nAfter, [inline](a.ts#part) stays a link.',
    );
    const code = /<pre class="code language-ts"[^>]*>(.*?)<\/pre>/s.exec(html)?.[1];
    expect(code).toMatch(/light-dark\(#\w+, ?#\w+\)/);
    expect(code?.replace(/<[^>]+>/g, '').replace(/&(lt|#x3C);/g, '<')).toBe('if (a < b) {\n  c();\n}');
    expect(html.match(/<figure/g)).toHaveLength(1);
  });

  test('tells in a transcript what was typed, and sets what is too long for a line in below its last column', () => {
    const { html } = render(
      '```console\n$ ls <x>\n  WHY      why\n           its name  a < b\n\n           ✓ c\n```\n',
    );
    const code = /<pre class="code language-console"[^>]*><code>(.*?)<\/code>/s.exec(html)?.[1];
    expect(code?.match(/<(b|span) .*?<\/\1>/gs)).toEqual([
      '<b style="--hang: 2ch">$ ls &lt;x&gt;\n</b>',
      '<span style="--hang: 11ch">  WHY      why\n</span>',
      '<span style="--hang: 21ch">           its name  a &lt; b\n</span>',
      '<span style="--hang: 2ch">\n</span>',
      '<span style="--hang: 11ch">           ✓ c\n</span>',
    ]);
  });

  test('that quotes what is not there cannot be rendered', () => {
    expect(() => render('[a.ts › gone](a.ts#gone)')).toThrow(/README\.md:1: .*a\.ts has no region "gone"/);
    expect(() => render('# T\n\n[b.ts › part](b.ts#part)')).toThrow(
      'README.md:3 quotes b.ts: there is no such file',
    );
  });
});

describe('a region', () => {
  test('may be a gap, named by its id, and leaves out the markers inside it', () => {
    const source = '//#gap 02.3 pivotRoot\na();\n//#region inner\nb();\n//#endregion\n//#end\n';
    expect(region(source, '02.3', 'f.ts')).toBe('a();\nb();');
    expect(region(source, 'inner', 'f.ts')).toBe('b();');
  });

  test('without an end is an error', () => {
    expect(() => region('//#region x\na();', 'x', 'f.ts')).toThrow('f.ts: region "x" has no end');
  });
});

test('there are seven chapters, and each lesson renders with all that it quotes', () => {
  const slugs = chapterSlugs();
  expect(slugs.map((slug) => slug.slice(0, 2))).toEqual(['01', '02', '03', '04', '05', '06', '07']);
  for (const slug of slugs) {
    const lesson = renderChapter(slug);
    expect(lesson.sections.length, slug).toBeGreaterThan(3);
    expect(lesson.html, slug).toContain('<figure class="quote">');
    expect(lesson.html, slug).toMatch(/<img src="[^"]+\.svg" alt="[^"]+/);
  }
});
