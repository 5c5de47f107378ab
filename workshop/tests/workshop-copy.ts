import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ROOT } from '../learner.ts';
import { readSources } from '../sources.ts';

/** The workshop as someone has cloned it, in a folder of its own, where its commands can be typed. */
export interface WorkshopCopy {
  root: string;
  /** Types a command, `check 01.1`, not at a terminal, and waits for it. */
  run(...words: string[]): { status: number | null; stdout: string; stderr: string };
  /** The same, without waiting. */
  start(...words: string[]): Running;
  remove(): void;
}

export interface Running {
  child: ChildProcess;
  said(): string;
  /** Its exit status, when it has ended. */
  status: Promise<number | null>;
}

const ALSO = [
  'README.md',
  'LICENSE',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vitest.config.ts',
  'vagrant',
];

export function copyWorkshop(): WorkshopCopy {
  const root = mkdtempSync(join(tmpdir(), 'workshop-'));
  for (const [file, source] of readSources(ROOT)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), source);
  }
  for (const name of ['workshop/setup.mjs', ...ALSO])
    cpSync(join(ROOT, name), join(root, name), { recursive: true });
  for (const { name } of chapters()) cpSync(join(ROOT, name), join(root, name));
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  const words = ['--import', import.meta.resolve('tsx'), join(root, 'workshop/cli.ts')];
  return {
    root,
    run: (...more) => spawnSync(process.execPath, [...words, ...more], { encoding: 'utf8', cwd: root }),
    start: (...more) => {
      const child = spawn(process.execPath, [...words, ...more], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (data: Buffer) => void (said += data.toString()));
      const status = once(child, 'close').then(([code]) => code as number | null);
      return { child, said: () => said, status };
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

const chapters = (): { name: string }[] =>
  [...new Set([...readSources(ROOT).keys()].flatMap((file) => /^chapters\/[^/]+/.exec(file)?.[0] ?? []))]
    .map((folder) => ({ name: `${folder}/README.md` }))
    .filter(({ name }) => existsSync(join(ROOT, name)));

/** The text of a file in the learner's tree of a copy. */
export const mine = (copy: WorkshopCopy, file: string): string =>
  readFileSync(join(copy.root, 'my', file), 'utf8');
