import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expectSame, expectThat, isErrno, Wrong, type Exercise, type Trial } from '../01-processes/index.ts';
import { MNT, mount, mountWithOptions, umount } from '../02-namespaces/index.ts';
import { changesOf, type Change } from './changes.ts';
import { openContentStore } from './content-store.ts';
import { isStoreError } from './errors.ts';
import { chainIds } from './image.ts';
import { openDirectory, openInRoot } from './in-root.ts';
import { snapshotMounts } from './overlay-snapshotter.ts';

export const exercises: readonly Exercise[] = [
  {
    gap: '04.1',
    task: 'Tell what a container has changed, from its upper directory.',
    hints: [
      'Whatever is in the upper directory is a change. Only two things there are marks: whiteouts and opaque directories.',
      '`lookup(lowers, path)` says what the lower layers showed at a path; `namesBelow(lowers, dir)` what they showed in a directory.',
      'For each name in upper: a whiteout is D (if anything was below); else C or A, and visit(path) if it is a directory. If the directory is opaque, D for each of namesBelow that upper has not.',
    ],
    check: checkChanges,
    wrong: [
      {
        mistake: 'takes a whiteout for a file',
        code: `const names = readdirSync(join(upper, dir));
for (const name of names) {
  const path = join(dir, name);
  const stat = lstatSync(join(upper, path));
  changes.push({ kind: lookup(lowers, path) ? 'C' : 'A', path });
  if (stat.isDirectory()) visit(path);
}
if (isOpaque(join(upper, dir)))
  for (const name of namesBelow(lowers, dir))
    if (!names.includes(name)) changes.push({ kind: 'D', path: join(dir, name) });`,
        diagnosis: 'isWhiteout',
      },
      {
        mistake: 'does not look below: everything is new',
        code: `const names = readdirSync(join(upper, dir));
for (const name of names) {
  const path = join(dir, name);
  const stat = lstatSync(join(upper, path));
  changes.push({ kind: isWhiteout(stat) ? 'D' : 'A', path });
  if (stat.isDirectory()) visit(path);
}`,
        diagnosis: 'the lower layers had it',
      },
      {
        mistake: 'forgets opaque directories',
        code: `for (const name of readdirSync(join(upper, dir))) {
  const path = join(dir, name);
  const stat = lstatSync(join(upper, path));
  const below = lookup(lowers, path);
  if (isWhiteout(stat)) changes.push({ kind: 'D', path });
  else changes.push({ kind: below ? 'C' : 'A', path });
  if (stat.isDirectory()) visit(path);
}`,
        diagnosis: 'opaque',
      },
      {
        mistake: 'stays in the first directory',
        code: `for (const name of readdirSync(join(upper, dir))) {
  const path = join(dir, name);
  const stat = lstatSync(join(upper, path));
  if (isWhiteout(stat)) changes.push({ kind: 'D', path });
  else changes.push({ kind: lookup(lowers, path) ? 'C' : 'A', path });
}`,
        diagnosis: 'visit(path)',
      },
    ],
  },
  {
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
  },
  {
    gap: '04.3',
    task: 'Name each layer together with all that lie below it.',
    hints: [
      'The same tar on another base is another view. The name has to depend on everything below, but one step at a time.',
      'OCI image-spec, config.md, "Layer ChainID": ChainID(L0|...|Ln) = Digest(ChainID(L0|...|Ln-1) + " " + DiffID(Ln)).',
      'The first is the diffID as it is. Each next one: digestOf(`${chain.at(-1)} ${diffId}`).',
    ],
    check: checkChainIds,
    wrong: [
      {
        mistake: 'hashes the first layer too',
        code: `const chain: Digest[] = [];
for (const diffId of diffIds) chain.push(digestOf(chain.length ? \`\${chain.at(-1)} \${diffId}\` : diffId));
return chain;`,
        diagnosis: 'first layer',
      },
      {
        mistake: 'takes the diffID below, not the chain ID',
        code: `return diffIds.map((diffId, i) => (i === 0 ? diffId : digestOf(\`\${diffIds[i - 1]} \${diffId}\`)));`,
        diagnosis: 'only the layer just below',
      },
      {
        mistake: 'joins them without a space',
        code: `const chain: Digest[] = [];
for (const diffId of diffIds) chain.push(chain.length ? digestOf(\`\${chain.at(-1)}\${diffId}\`) : diffId);
return chain;`,
        diagnosis: 'space',
      },
    ],
  },
  {
    gap: '04.4',
    task: 'Say how a snapshot is mounted.',
    hints: [
      'How many directories are to be seen? One needs no overlay, more do. Who may write?',
      'overlayfs.rst: lowerdir is a list, the topmost first; upperdir and workdir come together, and are what makes it writable.',
      'active: [fs, ...lower], a view: lower (or fs, if there is none). One of them: bind, rw or ro, rbind. More: overlay with lowerdir=A:B, and for an active one workdir= and upperdir=.',
    ],
    check: checkMounts,
    wrong: [
      {
        mistake: 'names the lower directories bottom up',
        code: `if (lower.length === 0) return [{ type: 'bind', source: fs, options: [kind === 'active' ? 'rw' : 'ro', 'rbind'] }];
if (kind !== 'active' && lower.length === 1) return [{ type: 'bind', source: lower[0]!, options: ['ro', 'rbind'] }];
const options = [\`lowerdir=\${[...lower].reverse().join(':')}\`];
if (kind === 'active') options.unshift(\`workdir=\${work}\`, \`upperdir=\${fs}\`);
return [{ type: 'overlay', source: 'overlay', options }];`,
        diagnosis: 'topmost',
      },
      {
        mistake: 'makes a view that can be written',
        code: `if (lower.length === 0) return [{ type: 'bind', source: fs, options: ['rw', 'rbind'] }];
const options = [\`workdir=\${work}\`, \`upperdir=\${fs}\`, \`lowerdir=\${lower.join(':')}\`];
return [{ type: 'overlay', source: 'overlay', options }];`,
        diagnosis: 'a view',
      },
      {
        mistake: 'mounts an overlay of one directory',
        code: `const options = [\`lowerdir=\${lower.join(':')}\`];
if (kind === 'active') options.unshift(\`workdir=\${work}\`, \`upperdir=\${fs}\`);
return [{ type: 'overlay', source: 'overlay', options }];`,
        diagnosis: 'bind mount',
      },
      {
        mistake: 'forgets the work directory',
        code: `if (lower.length === 0) return [{ type: 'bind', source: fs, options: [kind === 'active' ? 'rw' : 'ro', 'rbind'] }];
if (kind !== 'active' && lower.length === 1) return [{ type: 'bind', source: lower[0]!, options: ['ro', 'rbind'] }];
const options = [\`lowerdir=\${lower.join(':')}\`];
if (kind === 'active') options.unshift(\`upperdir=\${fs}\`);
return [{ type: 'overlay', source: 'overlay', options }];`,
        diagnosis: 'workdir',
      },
    ],
  },
  {
    gap: '04.5',
    task: 'Open a path so that nothing outside a directory can be reached.',
    hints: [
      'Do not look at the path: every check has a moment after it. Tell the kernel where the root is, and let it walk.',
      'openat2(2): struct open_how is three 64-bit numbers (flags, mode, resolve). Which RESOLVE_ flag treats the directory as "/"?',
      'how = new BigUint64Array([flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS]); c_openat2(SYS_openat2, root, path, how, how.byteLength), through checked; again on EAGAIN.',
    ],
    check: checkInRoot,
    wrong: [
      {
        mistake: 'looks for .. in the path',
        code: `if (path.split('/').includes('..')) throw invalidArgument('climbs out');
return openSync(inDirectory(root, path), flags);`,
        diagnosis: 'symbolic link',
      },
      {
        mistake: 'calls openat2 without a resolve flag',
        code: `const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, 0n]);
return checked('openat2', c_openat2(SYS_openat2, root, path, how, how.byteLength), path);`,
        diagnosis: 'RESOLVE_IN_ROOT',
      },
      {
        mistake: 'uses RESOLVE_BENEATH',
        code: `const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, 8n]);
return checked('openat2', c_openat2(SYS_openat2, root, path, how, how.byteLength), path);`,
        diagnosis: 'RESOLVE_BENEATH',
      },
      {
        mistake: 'forgets O_CLOEXEC',
        code: `const how = new BigUint64Array([BigInt(flags), 0n, BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)]);
return checked('openat2', c_openat2(SYS_openat2, root, path, how, how.byteLength), path);`,
        diagnosis: 'O_CLOEXEC',
      },
    ],
  },
];

/** Rethrows what is not the learner's answer. */
function notStarted(error: unknown): void {
  if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
}

function checkChanges(t: Trial): void {
  const [lower, upper, work, merged] = [t.folder(), t.folder(), t.folder(), t.folder()];
  const [dir, kept, changed, deleted, added, anew] = Array.from({ length: 6 }, () => t.word()) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  mkdirSync(join(lower, dir));
  mkdirSync(join(lower, anew));
  for (const name of [kept, changed, deleted]) writeFileSync(join(lower, dir, name), 'lower');
  for (const name of [kept, deleted]) writeFileSync(join(lower, anew, name), 'lower');
  const data = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  mount({ source: 'overlay', target: merged, type: 'overlay', data });
  t.cleanup(() => umount(merged, MNT.DETACH));
  const stack = { upper, lowers: [lower] };
  expectSame('the changes of an untouched container', [], changesOf(stack), 'Nothing is in upper yet.');

  appendFileSync(join(merged, dir, changed), 'more');
  rmSync(join(merged, dir, deleted));
  writeFileSync(join(merged, dir, added), 'new');
  rmSync(join(merged, anew), { recursive: true });
  mkdirSync(join(merged, anew));
  writeFileSync(join(merged, anew, kept), 'new');
  const found = changesOf(stack);
  const kindOf = (...parts: string[]): string =>
    found.find(({ path }) => path === `/${parts.join('/')}`)?.kind ?? 'nothing';
  expectThat(
    found.some(({ path }) => path.startsWith(`/${dir}/`)),
    `changes below /${dir}`,
    'none',
    'Changes lie in directories too: visit(path) for each of them.',
  );
  expectSame(
    'the kind of a file that was deleted',
    'D',
    kindOf(dir, deleted),
    'A character device 0/0 is no file that someone added: ask isWhiteout.',
  );
  expectSame(
    'the kind of a file that was written to',
    'C',
    kindOf(dir, changed),
    'It was not added: the lower layers had it. Ask lookup.',
  );
  expectSame('the kind of a new file', 'A', kindOf(dir, added), 'The lower layers did not have it.');
  expectSame(
    'the kind of a file that a directory made anew does not have',
    'D',
    kindOf(anew, deleted),
    'An opaque directory deletes what was below without naming it: isOpaque, namesBelow.',
  );
  const expected: Change[] = [
    { kind: 'C' as const, path: `/${anew}` },
    { kind: 'D' as const, path: `/${anew}/${deleted}` },
    { kind: 'C' as const, path: `/${anew}/${kept}` },
    { kind: 'A' as const, path: `/${dir}/${added}` },
    { kind: 'C' as const, path: `/${dir}` },
    { kind: 'C' as const, path: `/${dir}/${changed}` },
    { kind: 'D' as const, path: `/${dir}/${deleted}` },
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
  expectSame('all changes', expected, found, 'One line for each thing in upper, and for what opaque hides.');
}

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
      notStarted(error);
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

function checkChainIds(t: Trial): void {
  const sha256 = (text: string): `sha256:${string}` =>
    `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const [a, b, c] = [sha256(t.word()), sha256(t.word()), sha256(t.word())];
  const ab = sha256(`${a} ${b}`);
  const [first, second, third] = chainIds([a, b, c]);
  expectSame('the name of one layer', a, first, 'The name of the first layer is its diffID, as it is.');
  expectThat(
    second !== sha256(`${a}${b}`),
    ab,
    second,
    'There is a space between the chain ID and the diffID.',
  );
  expectSame('the name of two layers', ab, second, 'The digest of "CHAIN_ID_BELOW DIFF_ID".');
  const cause =
    third === sha256(`${b} ${c}`)
      ? 'It says only the layer just below. Take the chain ID below, which stands for all of them.'
      : 'The digest of "CHAIN_ID_BELOW DIFF_ID".';
  expectSame('the name of three layers', sha256(`${ab} ${c}`), third, cause);
  expectSame('the names of no layers', [], chainIds([]), 'No layers, no names.');
}

function checkMounts(t: Trial): void {
  const layers = [t.folder(), t.folder(), t.folder()] as const;
  const name = t.word();
  for (const [i, layer] of layers.entries()) {
    writeFileSync(join(layer, name), `layer ${i}`);
    writeFileSync(join(layer, `only-${i}`), '');
  }
  const base = t.folder();
  const [fs, work] = [join(base, 'fs'), join(base, 'work')];
  for (const dir of [fs, work]) mkdirSync(dir);
  const mounted = (kind: 'active' | 'view', lower: readonly string[]): string => {
    const target = t.folder();
    const mounts = snapshotMounts({ kind, fs, work, lower });
    const options = mounts[0]?.options ?? [];
    try {
      for (const one of mounts) mountWithOptions({ ...one, target });
    } catch (error) {
      notStarted(error);
      const alone = lower.length === 0 || (kind === 'view' && lower.length === 1);
      const cause = alone
        ? 'overlayfs merges at least two directories. One alone is shown by a bind mount.'
        : options.some((o) => o.startsWith('upperdir=')) && !options.some((o) => o.startsWith('workdir='))
          ? 'An upper directory needs a workdir beside it, on the same filesystem.'
          : 'Compare your options with overlayfs.rst; `dmesg | tail` has the kernel’s own words.';
      throw new Wrong({ expected: `a mount of ${kind}`, observed: (error as Error).message, cause });
    }
    t.cleanup(() => umount(target, MNT.DETACH));
    return target;
  };

  const view = mounted('view', layers);
  expectSame(
    'a file that every layer has',
    'layer 0',
    readFileSync(join(view, name), 'utf8'),
    'lowerdir is a list with the topmost layer first, as `lower` is.',
  );
  const all = readdirSync(view).sort();
  expectSame('the names', [name, 'only-0', 'only-1', 'only-2'].sort(), all, 'Every layer shows through.');
  for (const target of [view, mounted('view', layers.slice(0, 1)), mounted('view', [])]) {
    let refused = false;
    try {
      writeFileSync(join(target, t.word()), '');
    } catch (error) {
      refused = isErrno(error, 'EROFS');
    }
    expectThat(refused, 'EROFS on writing', 'it was written', 'a view is read only: no upperdir, or ro.');
  }

  const active = mounted('active', layers);
  const word = t.word();
  writeFileSync(join(active, name), word);
  const copied = readdirSync(fs).includes(name) ? readFileSync(join(fs, name), 'utf8') : 'nothing';
  expectSame('what upper has of a file that was written', word, copied, 'upperdir is fs.');
  expectSame(
    'the layer below',
    'layer 0',
    readFileSync(join(layers[0], name), 'utf8'),
    'No layer below may change.',
  );
  const lowest = mounted('active', []);
  const own = t.word();
  writeFileSync(join(lowest, own), '');
  expectThat(readdirSync(fs).includes(own), `${own} in fs`, readdirSync(fs), 'A bind mount of fs, rw.');
}

function checkInRoot(t: Trial): void {
  const [root, outside] = [t.folder(), t.folder()];
  const [victim, inside, text] = [t.word(), t.word(), t.word()];
  writeFileSync(join(outside, victim), 'outside');
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc', inside), text);
  symlinkSync(outside, join(root, 'out'));
  symlinkSync('/etc', join(root, 'absolute'));
  const fd = openDirectory(root);
  t.cleanup(() => closeSync(fd));
  /** Where an opened path really lies, or why it was not opened. */
  const open = (path: string): { at: string; cloexec: boolean } => {
    let opened: number;
    try {
      opened = openInRoot(fd, path, constants.O_RDONLY);
    } catch (error) {
      notStarted(error);
      return { at: String((error as { code?: unknown }).code), cloexec: true };
    }
    try {
      const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${opened}`, 'utf8'))?.[1];
      return {
        at: readlinkSync(`/proc/self/fd/${opened}`),
        cloexec: (parseInt(flags ?? '0', 8) & 0o2000000) !== 0,
      };
    } finally {
      closeSync(opened);
    }
  };
  const plain = open(`etc/${inside}`);
  expectSame(
    'a plain path',
    join(root, 'etc', inside),
    plain.at,
    'It lies in the root, and should be opened.',
  );
  const beneath =
    'RESOLVE_BENEATH refuses what leads out. In a layer absolute links are usual: RESOLVE_IN_ROOT.';
  for (const path of [`out/${victim}`, `..${outside}/${victim}`, `${outside}/${victim}`]) {
    const { at } = open(path);
    const cause =
      at === 'EXDEV'
        ? beneath
        : 'A symbolic link or .. led outside. Only the kernel knows where a path ends: give it RESOLVE_IN_ROOT.';
    expectSame(`opening ${path}`, 'ENOENT', at, cause);
  }
  const absolute = open(`absolute/${inside}`).at;
  expectSame(
    'a link to /etc, followed inside',
    join(root, 'etc', inside),
    absolute,
    absolute === 'EXDEV' ? beneath : 'An absolute link begins at the root that was given.',
  );
  expectThat(
    plain.cloexec,
    'a descriptor that closes on exec',
    'one that programs inherit',
    'A handle of the host would leak into the container: O_CLOEXEC.',
  );
}
