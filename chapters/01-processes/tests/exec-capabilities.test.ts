import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { execWithSets } from '../exec-with-sets.ts';
import {
  afterExec,
  fork,
  formatFileCapabilities,
  getSecurebits,
  knownCapabilities,
  parseFileCapabilities,
  readCapabilities,
  readFileCapabilities,
  ROOTS_FILE,
  SECBIT,
  setFileCapabilities,
  setNoNewPrivs,
  setSecurebits,
  waitpid,
  type Capability,
  type CapabilitySets,
  type FileCapabilities,
} from '../index.ts';

let dir: string;
let cat: string;
beforeAll(() => {
  dir = mkdtempSync('/var/tmp/ch01-exec-'); // /tmp may be mounted nosuid
  cat = join(dir, 'cat');
});
afterAll(() => rmSync(dir, { recursive: true }));

/** In the kernel's order, each once, so that two can be compared. */
const normal = (sets: CapabilitySets | undefined) =>
  sets &&
  Object.fromEntries(
    Object.entries(sets).map(([set, names]) => [
      set,
      knownCapabilities().filter((name) => names.includes(name)),
    ]),
  );

describe('execve', () => {
  test('turns the five sets into those of the formula, whatever they are (60 draws)', () => {
    const have = readCapabilities()!.permitted;
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    let state = seed;
    const chance = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const some = (of: readonly Capability[], share = 0.5): Capability[] => of.filter(() => chance() < share);
    let refused = 0;
    for (let i = 0; i < 60; i++) {
      const permitted = some(have);
      const inheritable = some(permitted);
      const before = {
        effective: some(permitted),
        permitted,
        inheritable,
        bounding: some(have),
        ambient: some(inheritable),
      };
      const modes = ['plain', 'file', 'file', 'file', 'root', 'no_new_privs'] as const;
      const mode = modes[i % modes.length]!;
      const of =
        mode === 'file' || mode === 'no_new_privs'
          ? { permitted: some(have, 0.2), inheritable: some(have), effective: chance() < 0.5 }
          : undefined;
      const seen = execWithSets(join(dir, `cat-${i}`), {
        sets: before,
        file: of,
        prepare: () => {
          if (mode !== 'root') setSecurebits(SECBIT.NOROOT);
          if (mode === 'no_new_privs') setNoNewPrivs();
        },
      });
      const file = mode === 'root' ? ROOTS_FILE : of;
      const expected = afterExec(before, { file, privileged: !!of, noNewPrivs: mode === 'no_new_privs' });
      expect(normal(seen), `seed ${seed}, draw ${i}, ${mode}`).toEqual(normal(expected));
      if (!seen) refused++;
    }
    expect(refused).toBeGreaterThan(0);
  });
});

describe('capabilities of a file', () => {
  const some: FileCapabilities = {
    permitted: ['CAP_NET_RAW', 'CAP_BPF'],
    inheritable: ['CAP_CHOWN'],
    effective: true,
  };

  test('are written as setcap(8) writes them, and read as getcap(8) reads them', () => {
    writeFileSync(cat, '');
    setFileCapabilities(cat, some);
    expect(readFileCapabilities(cat)).toEqual(some);
    writeFileSync(cat, 'changed');
    expect(readFileCapabilities(cat)).toBeUndefined(); // the kernel takes them off a file that is written to
  });

  test('of every version are understood, and others are refused', () => {
    expect(parseFileCapabilities(formatFileCapabilities(some))).toEqual(some);
    // Version 1: 32 bits. Version 3: with the owner of a namespace.
    expect(parseFileCapabilities(Buffer.from('010000010100000002000000', 'hex'))).toEqual({
      permitted: ['CAP_CHOWN'],
      inheritable: ['CAP_DAC_OVERRIDE'],
      effective: true,
    });
    const v3 = Buffer.from('000000030100000000000000000000000000000064000000', 'hex');
    expect(parseFileCapabilities(v3)).toEqual({
      permitted: ['CAP_CHOWN'],
      inheritable: [],
      effective: false,
    });
    for (const bad of ['', '00', '00000002', '00000009' + '00'.repeat(16)])
      expect(() => parseFileCapabilities(Buffer.from(bad, 'hex'))).toThrow('is of no known version');
  });

  test('of a file that is not there is an error with its path', () => {
    expect(() => readFileCapabilities('/no/such')).toThrow(
      'getxattr security.capability of "/no/such": ENOENT',
    );
    expect(() => setFileCapabilities('/no/such', some)).toThrow(
      'setxattr security.capability of "/no/such": ENOENT',
    );
  });
});

describe('securebits', () => {
  test('are read as set, and a locked one stays', () => {
    const pid = fork(() => {
      setSecurebits(SECBIT.NOROOT | SECBIT.NOROOT_LOCKED);
      try {
        setSecurebits(0);
      } catch (error) {
        return String(error).includes('prctl PR_SET_SECUREBITS: EPERM') && getSecurebits() === 3 ? 5 : 6;
      }
    });
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 5 });
    expect(getSecurebits()).toBe(0);
  });
});
