import { contents, renderChapter, renderReadme } from './lesson.ts';
import { address } from './page.ts';

/** A script that gives the page the text of every section of every lesson: the search needs nothing else, and no server. */
export function searchIndex(): string {
  const entries = contents().flatMap(({ slug }) => {
    const lesson = slug ? renderChapter(slug) : renderReadme();
    return lesson.html.split(/(?=<h[23] id=)/).map((part) => ({
      page: address(lesson),
      id: /^<h[23] id="([^"]*)"/.exec(part)?.[1] ?? '',
      lesson: text(lesson.title),
      title: text(/^<h[23][^>]*>(.*?)<\/h/s.exec(part)?.[1] ?? lesson.title).replace(/ #$/, ''),
      text: text(part),
    }));
  });
  return `globalThis.bookIndex = ${JSON.stringify(entries)};\n`;
}

const ENTITIES: Record<string, string> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
  '#x3C': '<',
  '#x26': '&',
};

const text = (html: string): string =>
  html
    .replace(/<[^>]+>/g, '')
    .replace(/&(\w+|#\w+);/g, (whole, name: string) => ENTITIES[name] ?? whole)
    .replace(/\s+/g, ' ')
    .trim();
