import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import chalk from 'chalk';
import { Command } from 'commander';
import { Refused } from '../learner.ts';
import { chapterSlugs, renderChapter } from '../lesson.ts';
import { found } from '../serve.ts';
import { filesIn, writeSite } from '../site.ts';
import { slides, slidesIndex } from '../slides.ts';

const ROOT = join(import.meta.dirname, '../..');

/** `npm run book`: the served pages as files, or each lesson as slides. */
export const bookCommand = (): Command =>
  new Command('book')
    .description('write the lessons as a static site to dist/book, or as slides to dist/slides')
    .option('--slides', 'slides: a section each, arrow keys, printable')
    .option('--json', 'print where it was written, and how many files, as data')
    .action((options: { slides?: true; json?: true }) => {
      const out = resolve(ROOT, options.slides ? 'dist/slides' : 'dist/book');
      try {
        if (options.slides) writeSlides(out);
        else writeSite(out);
      } catch (error) {
        throw new Refused((error as Error).message.replaceAll(`${ROOT}/`, ''));
      }
      if (options.json) console.log(JSON.stringify({ folder: out, files: filesIn(out) }));
      else
        console.log(
          `${chalk.green('✓')} ${filesIn(out)} files; open ${relative(process.cwd(), out)}/index.html`,
        );
    });

/** Pictures and sources that slides show or link to are copied beside them: the folder can be taken elsewhere. */
function writeSlides(out: string): void {
  const pages = chapterSlugs().map((slug) => [`${slug}.html`, slides(renderChapter(slug))] as const);
  const files = new Map<string, { name: string; body: string }>();
  const beside = (html: string): string =>
    html.replace(/(?<=(?:href|src)=")(\/[^"#]*)(#[^"]*)?/g, (_, path: string, fragment = '') => {
      const chapter = /^\/(\d\d-[^/]+)\/$/.exec(path)?.[1];
      if (path === '/') return 'index.html';
      if (chapter) return `${chapter}.html`; // its slides are numbered: a section's name leads nowhere there
      const file = found(path);
      if (!file) throw new Error(`slides: there is no ${path}`);
      const html = file.type.startsWith('text/html');
      const name = `files/${path.replace('/source/', '').replaceAll('/', '-')}${html ? '.html' : ''}`;
      // A page of source is shown without the book around it, whose links would lead out of the folder.
      files.set(path, { name, body: html ? withoutBook(file.body) : file.body });
      return name + (html ? (fragment as string) : '');
    });
  const ready = pages.map(([name, html]) => [name, beside(html)] as const);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, 'files'), { recursive: true });
  for (const [name, html] of ready) writeFileSync(join(out, name), html);
  for (const { name, body } of files.values()) writeFileSync(join(out, name), body);
  writeFileSync(join(out, 'index.html'), slidesIndex());
}

const withoutBook = (html: string): string =>
  html
    .replace(/<script src="[^"]*"[^>]*><\/script>/g, '')
    .replace(/<details class="chapters">.*?<\/nav>/s, '')
    .replace(/<footer>.*?<\/footer>/s, '')
    .replace(/<a href="\/[^"]*">(.*?)<\/a>/gs, '$1')
    .replace('<body>', '<body style="display: block">');
