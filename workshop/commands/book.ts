import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import chalk from 'chalk';
import { Command } from 'commander';
import { Refused } from '../learner.ts';
import { chapterSlugs, renderChapter } from '../lesson.ts';
import { filesIn, writeSite } from '../site.ts';
import { slides, slidesIndex } from '../slides.ts';

const ROOT = join(import.meta.dirname, '../..');

/** `npm run book`: the served pages as files, or each lesson as slides. */
export const bookCommand = (): Command =>
  new Command('book')
    .description('write the lessons as a static site to dist/book, or as slides to dist/slides')
    .option('--slides', 'slides: a section each, arrow keys, printable')
    .action((options: { slides?: true }) => {
      const out = resolve(ROOT, options.slides ? 'dist/slides' : 'dist/book');
      try {
        if (options.slides) writeSlides(out);
        else writeSite(out);
      } catch (error) {
        throw new Refused((error as Error).message.replaceAll(`${ROOT}/`, ''));
      }
      console.log(
        `${chalk.green('✓')} ${filesIn(out)} files; open ${relative(process.cwd(), out)}/index.html`,
      );
    });

function writeSlides(out: string): void {
  const pictures = (slug: string, html: string): string =>
    html.replaceAll(`src="/source/chapters/${slug}/`, `src="../../chapters/${slug}/`);
  const pages = chapterSlugs().map((slug) => [slug, pictures(slug, slides(renderChapter(slug)))] as const);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  for (const [slug, html] of pages) writeFileSync(join(out, `${slug}.html`), offSite(html));
  writeFileSync(join(out, 'index.html'), slidesIndex());
}

/** Links of a slide to other lessons lead to their slides, those to source files to the repository's own. */
const offSite = (html: string): string =>
  html
    .replace(/href="\/(\d\d-[^/"]+)\/(?:#[^"]*)?"/g, 'href="$1.html"')
    .replace(/href="\/source\//g, 'href="../../')
    .replace(/href="\/"/g, 'href="index.html"');
