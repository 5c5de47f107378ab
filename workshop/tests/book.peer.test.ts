import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { contents } from '../lesson.ts';
import { ROOT } from '../learner.ts';
import { address } from '../page.ts';
import { serveBook } from '../serve.ts';
import { writeReports } from '../grade-report.ts';
import { writeSite } from '../site.ts';
import { browser, type Browser } from './browser.ts';

// The book as a reader has it: in Chromium.

let chromium: Browser;
let server: Server;
let url: string;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'book-peer-'));
  ({ server, url } = await serveBook(0));
  chromium = await browser();
});
afterAll(async () => {
  await chromium.close();
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  chromium.problems.length = chromium.requests.length = 0;
  await chromium.size(1280);
  await prefers('light');
});

const prefers = (value: 'light' | 'dark', media = ''): Promise<unknown> =>
  chromium.call('Emulation.setEmulatedMedia', {
    media,
    features: [{ name: 'prefers-color-scheme', value }],
  });
const OVERFLOW = `[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1
  && !one.closest('pre, table, .quote, nav')).map((one) => one.outerHTML.slice(0, 120))`;
const scrollsSideways = 'document.documentElement.scrollWidth > innerWidth';
const brokenPictures = `[...document.images].filter((one) => one.naturalWidth === 0).map((one) => one.src)`;
const colour = (of: string): string => `getComputedStyle(document.querySelector('${of}')).backgroundColor`;
const brightness = async (of: string): Promise<number> => {
  const rgb = (await chromium.value<string>(colour(of)))
    .match(/[\d.]+/g)!
    .slice(0, 3)
    .map(Number);
  return rgb.reduce((all, one) => all + one, 0) / 3;
};
const search = async (words: string): Promise<void> => {
  await chromium.value(`document.getElementById('search').focus()`);
  for (const key of words) await chromium.press(key);
  await expect
    .poll(() => chromium.value<number>(`document.querySelectorAll('#results a').length`), { timeout: 20_000 })
    .toBeGreaterThan(0);
};

describe.each(contents().map(address))('%s', (path) => {
  test.each([375, 768, 1280])('is read without scrolling sideways at %i pixels', async (width) => {
    await chromium.size(width);
    await chromium.open(url + path);
    expect(await chromium.value(OVERFLOW)).toEqual([]);
    expect(await chromium.value(scrollsSideways)).toBe(false);
    expect(await chromium.value(brokenPictures)).toEqual([]);
    expect(chromium.problems).toEqual([]);
    for (const asked of chromium.requests)
      expect(asked.startsWith(url) || asked.startsWith('data:'), asked).toBe(true);
  });

  test('is dark where the reader likes it dark, and light on paper', async () => {
    await chromium.open(url + path);
    expect(await brightness('body')).toBeGreaterThan(200);
    await prefers('dark');
    expect(await brightness('body')).toBeLessThan(60);
    await prefers('dark', 'print');
    expect(await brightness('body')).toBeGreaterThan(200);
    for (const of of ['nav', '.tools', 'footer'])
      expect(await chromium.value(`document.querySelector('${of}').checkVisibility()`), of).toBe(false);
    const { data } = await chromium.call('Page.printToPDF', { paperWidth: 8.27, paperHeight: 11.69 });
    expect(
      Buffer.from(data as string, 'base64')
        .subarray(0, 5)
        .toString(),
    ).toBe('%PDF-');
  });
});

test('one reads from the first page to the last by "Next"', async () => {
  await chromium.open(url);
  const seen: string[] = [];
  for (let next: string | null = '/'; next;) {
    seen.push(next);
    await chromium.open(url + next);
    next = await chromium.value<string | null>(
      `document.querySelector('footer a:last-child')?.getAttribute('href') ?? null`,
    );
    if (next && seen.includes(next)) break; // the last page has only the one before
  }
  expect(seen).toEqual(contents().map(address));
});

test('every link of every page leads to a part that is there', async () => {
  const links = new Set<string>();
  for (const path of contents().map(address)) {
    await chromium.open(url + path);
    for (const link of await chromium.value<string[]>(`[...document.links].map((one) => one.href)`))
      links.add(link);
  }
  const inside = [...links].filter((link) => link.startsWith(url));
  expect(inside.length).toBeGreaterThan(100);
  const pages = new Map<string, string>();
  for (const link of inside) {
    const [page = '', part] = link.split('#');
    if (!pages.has(page)) {
      const response = await fetch(page);
      expect(response.status, page).toBe(200);
      pages.set(page, await response.text());
    }
    if (part) expect(pages.get(page)!.includes(`id="${decodeURIComponent(part)}"`), link).toBe(true);
  }
}, 120_000);

test('the search finds a word, shows where, and leads there by Enter', async () => {
  await chromium.open(url);
  await search('pivot_root');
  expect(await chromium.value(`document.querySelector('#results mark').textContent`)).toBe('pivot_root');
  await chromium.press('Enter');
  await expect.poll(() => chromium.value<string>('location.hash'), { timeout: 20_000 }).toMatch(/^#./);
  expect(await chromium.value('document.body.innerText.includes("pivot_root")')).toBe(true);
  expect(chromium.problems).toEqual([]);
});

test('the button turns the page dark, and the next page stays so', async () => {
  await chromium.open(url);
  await chromium.value(`document.getElementById('theme').click()`);
  expect(await brightness('body')).toBeLessThan(60);
  await chromium.open(`${url}/01-processes/`);
  expect(await brightness('body')).toBeLessThan(60);
  expect(await chromium.value(`getComputedStyle(document.images[0]).filter`)).toContain('invert');
  await chromium.value(`document.getElementById('theme').click()`);
  expect(await brightness('body')).toBeGreaterThan(200);
});

test('on a phone the chapters unfold, with the search', async () => {
  await chromium.size(375);
  await chromium.open(`${url}/02-namespaces/`);
  expect(await chromium.value(`document.querySelector('nav').checkVisibility()`)).toBe(false);
  await chromium.value(`document.querySelector('.chapters summary').click()`);
  expect(await chromium.value(`document.querySelector('nav').checkVisibility()`)).toBe(true);
  await search('whiteout');
  expect(await chromium.value(scrollsSideways)).toBe(false);
});

test('the written book is read from the disk, search included, and asks nothing of the network', async () => {
  writeSite(join(folder, 'book'));
  await chromium.open(`file://${folder}/book/04-overlayfs/index.html`);
  expect(await chromium.value(brokenPictures)).toEqual([]);
  await search('whiteout');
  await chromium.value(`document.querySelector('#results a').click()`);
  await expect.poll(() => chromium.value<string>('location.href'), { timeout: 20_000 }).toContain('#');
  expect(chromium.requests.filter((asked) => !/^(file|data):/.test(asked))).toEqual([]);
  expect(chromium.problems).toEqual([]);
});

test('the slides are shown wherever their folder is taken: pictures, arrow keys, one a sheet', async () => {
  const command = ['--import', import.meta.resolve('tsx'), join(ROOT, 'workshop/cli.ts'), 'book', '--slides'];
  expect(spawnSync(process.execPath, command).status).toBe(0);
  const elsewhere = join(folder, 'taken', 'elsewhere');
  cpSync(join(ROOT, 'dist/slides'), elsewhere, { recursive: true });
  for (const name of readdirSync(elsewhere).filter((each) => /^\d\d-.*\.html$/.test(each))) {
    await chromium.open(`file://${elsewhere}/${name}`);
    expect(await chromium.value(brokenPictures), name).toEqual([]);
    const links = await chromium.value<string[]>(
      `[...document.links].map((one) => one.href).filter((one) => one.startsWith('file:'))`,
    );
    for (const link of links) {
      const path = decodeURIComponent(new URL(link).pathname);
      expect(path.startsWith(elsewhere) && existsSync(path), link).toBe(true);
    }
    const shown = `[...document.querySelectorAll('section.shown, .slides > section')].findIndex((one) => one.classList.contains('shown'))`;
    const before = await chromium.value<number>(shown);
    await chromium.press('ArrowRight');
    expect(await chromium.value(shown), name).toBe(before + 1);
  }
  expect(chromium.problems).toEqual([]);
}, 120_000);

test('the page of grades shows its grid, dark and light, and opens what was said', async () => {
  const verdict = { verdict: 'wrong', expected: 'a', observed: '<b>', cause: 'c' } as const;
  const gaps = Array.from({ length: 40 }, (_, i) => ({ id: `01.${i}`, name: 'n', chapter: '01-processes' }));
  const learners = ['ada', 'bela'].map((name) => ({
    name,
    marks: gaps.map(({ id }) => ({ learner: name, gap: id, verdict })),
  }));
  writeReports(folder, { seed: 1, gaps, learners });
  for (const width of [375, 1280]) {
    await chromium.size(width);
    await chromium.open(`file://${folder}/grades.html`);
    expect(await chromium.value(scrollsSideways), String(width)).toBe(false);
  }
  await chromium.value(`document.querySelector('td a').click()`);
  await expect
    .poll(() => chromium.value(`document.querySelector('details').open`), { timeout: 20_000 })
    .toBe(true);
  await prefers('dark');
  expect(await brightness('body')).toBeLessThan(60);
  expect(chromium.problems).toEqual([]);
});
