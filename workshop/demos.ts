import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ROOT } from './learner.ts';

/** A program of a chapter's demo. */
export interface DemoPart {
  /** What it is asked for by: `memory` of demo-memory.ts; empty for demo.ts. */
  name: string;
  file: string;
}

/** The parts of a chapter's demo, each for a sitting, in the order of the lesson: demo.ts, which every chapter has, is the first. */
export function demoParts(slug: string, tree = ROOT): DemoPart[] {
  const folder = join(tree, 'chapters', slug);
  return readdirSync(folder)
    .filter((name) => /^demo(-\w+)?\.ts$/.test(name))
    .map((name) => ({ name: basename(name, '.ts').slice('demo-'.length), file: join(folder, name) }))
    .filter(({ file }) => /^await demo\(/m.test(readFileSync(file, 'utf8')))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
