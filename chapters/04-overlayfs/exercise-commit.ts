import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectSame, expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { openContentStore } from './content-store.ts';
import { isStoreError } from './errors.ts';

export const commit: Exercise = {
  gap: '04.2',
  task: 'Give bytes their name, if they are what was announced.',
  hints: [
    'Until the commit the bytes have no name. All checks come before they get one, and getting it must be one step.',
    'rename(2) is that step; what is renamed must be on the disk before (fsync). `destination.place` says where the blob is to lie.',
    'actual = digest(); refuse a wrong size and a wrong digest (failedPrecondition); file.sync(); close(); if it is not there yet: rename(path, await destination.place(actual, labels)); remove dir; if it was there: alreadyExists.',
  ],
  check: checkCommit,
  wrong: [
    {
      mistake: 'believes the announced digest',
      code: `const actual = expected ? parseDigest(expected) : (begun.expected ?? digest());
if (size && size !== offset) throw failedPrecondition('wrong size');
await file.sync();
await close();
const isNew = !(await destination.exists(actual));
if (isNew) await rename(path, await destination.place(actual, labels));
await rm(dir, { recursive: true });
if (!isNew) throw alreadyExists(actual);
return actual;`,
      diagnosis: 'the digest of what was really written',
    },
    {
      mistake: 'checks when the blob has its name already',
      code: `const actual = digest();
await file.sync();
await rename(path, await destination.place(actual, labels));
if (size && size !== offset) throw failedPrecondition('wrong size');
if (expected && expected !== actual) throw failedPrecondition('wrong digest');
await close();
await rm(dir, { recursive: true });
return actual;`,
      diagnosis: 'before the bytes get their name',
    },
    {
      mistake: 'does not look at the size',
      code: `const actual = digest();
if (expected && expected !== actual) throw failedPrecondition('wrong digest');
await file.sync();
await close();
const isNew = !(await destination.exists(actual));
if (isNew) await rename(path, await destination.place(actual, labels));
await rm(dir, { recursive: true });
if (!isNew) throw alreadyExists(actual);
return actual;`,
      diagnosis: 'size',
    },
    {
      mistake: 'leaves the ingest behind',
      code: `const actual = digest();
if (size && size !== offset) throw failedPrecondition('wrong size');
if (expected && expected !== actual) throw failedPrecondition('wrong digest');
await file.sync();
await close();
if (await destination.exists(actual)) throw alreadyExists(actual);
await rename(path, await destination.place(actual, labels));
return actual;`,
      diagnosis: 'its ingest directory',
    },
  ],
};

async function checkCommit(t: Trial): Promise<void> {
  const dir = t.folder();
  const store = await openContentStore(dir);
  const blobs = (): string[] => readdirSync(join(dir, 'blobs/sha256'));
  const bytes = Buffer.from(`${t.word()} ${t.number(0, 1e9)}`);
  const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
  const real = `sha256:${sha256(bytes)}`;
  const refusal = async (commit: () => Promise<unknown>): Promise<unknown> => {
    try {
      await commit();
      return undefined;
    } catch (error) {
      if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
      return error;
    }
  };

  const other = `sha256:${sha256(Buffer.from(t.word()))}`;
  const writer = await store.writer(t.word());
  await writer.write(bytes);
  for (const [what, expect, cause] of [
    ['digest', { expected: other }, 'Compare it with the digest of what was really written: digest().'],
    ['size', { size: bytes.length + 1 }, 'The announced size has to be the number of bytes written: offset.'],
  ] as const) {
    const error = await refusal(() => writer.commit(expect));
    expectThat(error !== undefined, `a wrong ${what} to be refused`, 'it was committed', cause);
    expectSame(
      `the blobs after a wrong ${what}`,
      [],
      blobs(),
      'Check everything before the bytes get their name.',
    );
  }
  const error = await refusal(() => writer.commit({ size: bytes.length, expected: real }));
  expectSame(
    'the refusal of a right commit',
    undefined,
    error && String(error),
    'Size and digest are right.',
  );
  expectSame('the blobs', [sha256(bytes)], blobs(), 'The name is the digest, where destination.place says.');
  const stored = readFileSync(join(dir, 'blobs/sha256', sha256(bytes)));
  expectThat(
    stored.equals(bytes),
    'the bytes that were written',
    stored.toString(),
    'They are not the same.',
  );
  const left = readdirSync(join(dir, 'ingest'));
  expectSame('what is left of the writing', [], left, 'Remove its ingest directory: `dir`.');

  const second = await store.writer(t.word());
  await second.write(bytes);
  const again = await refusal(() => second.commit());
  expectThat(
    isStoreError(again, 'ALREADY_EXISTS'),
    'ALREADY_EXISTS for bytes that are there',
    again === undefined ? 'no error' : String(again),
    'The store has these bytes: throw alreadyExists.',
  );
  const rest = readdirSync(join(dir, 'ingest'));
  expectSame('what is left of the second writing', [], rest, 'Remove its ingest directory then too.');
}
