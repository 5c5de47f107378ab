import { chmodSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { digestOfCopies, findCopies } from './copy-files.ts';

export const cacheKey: Exercise = {
  gap: '04.8',
  task: 'Make one digest of the files that a COPY copies, so that the cache knows them again.',
  hints: [
    'Two copies that make the same layer in all that matters shall have the same digest. What differs between two checkouts of the same files?',
    'Names, kinds, owners, modes, links and bytes count. Times do not: a fresh checkout has new ones. Where one name ends and the next begins has to count, too.',
    'hash = createHash("sha256"); for each entry: hash.update(JSON.stringify([name, type, mode, uid, gid, size, linkname, …])), then every chunk of the body.',
  ],
  check: checkCacheKey,
  wrong: [
    {
      mistake: 'lets times count',
      code: `const hash = createHash('sha256');
for (const { header, body = [] } of entries) {
  hash.update(JSON.stringify([header.name, header.type, header.mode, header.uid, header.gid, header.size, String(header.mtime)]));
  for await (const chunk of body instanceof Uint8Array ? [body] : body) hash.update(chunk);
}
return hash.digest('hex');`,
      diagnosis: 'checkout',
    },
    {
      mistake: 'looks at names alone',
      code: `const hash = createHash('sha256');
for (const { header } of entries) hash.update(JSON.stringify([header.name, header.type, header.mode, header.size]));
return hash.digest('hex');`,
      diagnosis: 'bytes',
    },
    {
      mistake: 'looks at bytes alone',
      code: `const hash = createHash('sha256');
for (const { body = [] } of entries)
  for await (const chunk of body instanceof Uint8Array ? [body] : body) hash.update(chunk);
return hash.digest('hex');`,
      diagnosis: 'names',
    },
    {
      mistake: 'forgets the mode',
      code: `const hash = createHash('sha256');
for (const { header, body = [] } of entries) {
  hash.update(JSON.stringify([header.name, header.type, header.size]));
  for await (const chunk of body instanceof Uint8Array ? [body] : body) hash.update(chunk);
}
return hash.digest('hex');`,
      diagnosis: 'mode',
    },
  ],
};

async function checkCacheKey(t: Trial): Promise<void> {
  const [first, second, text] = [t.word(), `${t.word()}-2`, t.word()];
  const key = async (change: (dir: string) => void = () => undefined): Promise<string> => {
    const dir = join(t.folder(), 'context');
    mkdirSync(dir);
    for (const name of [first, second]) writeFileSync(join(dir, name), text);
    change(dir);
    const copies = findCopies({ root: dir, sources: ['.'], destination: '/app', intoDirectory: true });
    try {
      return await digestOfCopies(copies);
    } finally {
      copies.close();
    }
  };
  const base = await key();
  const old = await key((dir) => utimesSync(join(dir, first), t.number(1, 1e9), t.number(1, 1e9)));
  expectThat(
    old === base,
    'the same digest for the same files with other times',
    'another one',
    'A fresh checkout has new times: leave them out.',
  );
  const differs = async (what: string, cause: string, change: (dir: string) => void): Promise<void> => {
    const other = await key(change);
    expectThat(other !== base, `another digest after another ${what}`, 'the same one', cause);
  };
  const swapped = text.split('').reverse().join('') + '!';
  await differs('content of the same length', 'Feed the bytes of every file to the hash.', (dir) =>
    writeFileSync(join(dir, first), swapped.slice(0, text.length - 1) + (text.endsWith('?') ? '!' : '?')),
  );
  await differs('name', 'The names have to count, too.', (dir) => writeFileSync(join(dir, `${second}x`), ''));
  await differs('mode', 'A file that can be executed is another one: the mode has to count.', (dir) =>
    chmodSync(join(dir, first), 0o755),
  );
}
