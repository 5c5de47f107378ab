import { chmodSync, closeSync, mkdirSync, mkdtempSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  fork,
  getpid,
  inChild,
  pipe,
  setCapabilities,
  waitpid,
  type Trial,
} from '../../chapters/01-processes/index.ts';
import { CLONE, mount, MS, unshare, writeIdMaps } from '../../chapters/02-namespaces/index.ts';
import { explain } from '../coach.ts';

/** A case of the coach: what it is called, how it is provoked for real, and what the coach must say of it. */
export type Row = [title: string, provoke: (place: Place) => unknown, expected: string];

export interface Place {
  /** An empty folder. */
  folder: string;
  /** A word that nothing else has. */
  word: string;
}

/** The folder of this file’s tests; taken away afterwards. */
export const top = mkdtempSync(join(tmpdir(), 'coach-'));
chmodSync(top, 0o755);
afterAll(() => rmSync(top, { recursive: true }));

/** The tests of some rows: each cause is provoked in a child with a mount namespace of its own, and explained there. */
export function explains(concept: string, rows: Row[]): void {
  describe(`the coach on ${concept}`, () => {
    test.each(rows)('%s', (_title, provoke, expected) => {
      const folder = mkdtempSync(join(top, 'c'));
      chmodSync(folder, 0o755);
      const said = explainedApart(() => provoke({ folder, word: basename(folder).toLowerCase() }));
      expect(said).toContain(expected);
    });
  });
}

/** What the coach says of an error, in a child with a mount namespace of its own. */
export function explainedApart(fn: () => unknown): string | undefined {
  return explainedIn(() => {
    unshare(CLONE.NEWNS);
    mount({ target: '/', flags: MS.REC | MS.PRIVATE });
    return fn();
  });
}

/** What the coach says of an error, in a child of its own. */
export function explainedIn(fn: () => unknown): string | undefined {
  const undo: (() => void | Promise<void>)[] = [];
  const trial = { cleanup: (action: () => void) => void undo.push(action) } as unknown as Trial;
  try {
    return inChild(trial, () => {
      try {
        const said = fn();
        return typeof said === 'string' ? said : 'nothing was refused';
      } catch (error) {
        return explain(error) ?? `unexplained: ${String(error)}`;
      }
    }).result;
  } finally {
    for (const action of undo.reverse()) void action();
  }
}

export const dropAll = (): void => setCapabilities({ effective: [], permitted: [], inheritable: [] });
export const made = (path: string, text = '', mode = 0o644): string => {
  writeFileSync(path, text, { mode });
  return path;
};

/** A user namespace around this process, whose maps a child of the parent's rights writes. */
export function mappedUser(extra = 0): void {
  const me = getpid();
  const { read, write } = pipe();
  const helper = fork(() => {
    closeSync(write);
    readSync(read, Buffer.alloc(1));
    const range = [{ containerID: 0, hostID: 0, size: 1000 }];
    writeIdMaps(me, { uid: range, gid: range });
  });
  unshare(CLONE.NEWUSER | extra);
  closeSync(write);
  closeSync(read);
  waitpid(helper);
}

export const tmpfs = (target: string): string => {
  mkdirSync(target, { recursive: true });
  mount({ source: 'tmpfs', target, type: 'tmpfs' });
  return target;
};
