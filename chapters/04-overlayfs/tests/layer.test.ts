import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  applyLayer,
  changesOf,
  diffLayer,
  digestOf,
  getXattr,
  isOpaque,
  isWhiteout,
  layersOf,
  mountAll,
  openMounts,
  readTar,
  setXattr,
  tarHeader,
  writeTar,
  type ApplyOptions,
  type AppliedLayer,
  type Mount,
  type TarHeader,
} from '../index.ts';
import { collect, streamOf } from './bytes.ts';
import { needsRoot, scratch, unmountLater } from './scratch.ts';

needsRoot();

type Fields = Partial<TarHeader> & { name: string; text?: string };

async function tarOf(entries: Fields[]): Promise<Buffer> {
  const inputs = entries.map(({ text = '', ...fields }) => ({
    header: tarHeader({ ...fields, size: Buffer.byteLength(text) }),
    body: Buffer.from(text),
  }));
  return collect(writeTar(inputs));
}

async function apply(entries: Fields[], dir: string, options?: ApplyOptions): Promise<AppliedLayer> {
  return applyLayer(streamOf(await tarOf(entries)), dir, options);
}

/** What is below a directory, with all that can be seen of it. */
function picture(dir: string): string {
  return execFileSync(
    'sh',
    ['-c', 'cd "$1" && find . -printf "%p %y %m %U:%G %s %n %l %T@\\n" | grep -v "^[.] " | sort', 'sh', dir],
    { encoding: 'utf8' },
  ).replaceAll(/ d (\S+ \S+) \d+ \d+/g, ' d $1');
}

function overlay(lower: string): { mounts: Mount[]; merged: string; upper: string } {
  const [upper, work, merged] = [scratch(), scratch(), unmountLater(scratch())];
  const options = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
  const mounts = [{ type: 'overlay', source: 'overlay', options }];
  mountAll(mounts, merged);
  return { mounts, merged, upper };
}

describe('applyLayer', () => {
  test('makes every kind of file with mode, owner, time and attributes', async () => {
    const dir = scratch();
    const capability = Buffer.from('0100000200200000000000000000000000000080', 'hex');
    const time = 1_500_000_000_123_456_789n;
    const result = await apply(
      [
        { name: './', type: 'directory', mode: 0o750, uid: 7 },
        { name: 'etc/', type: 'directory', mode: 0o755, mtime: time },
        { name: 'etc/passwd', text: 'root', uid: 10, gid: 20, mode: 0o4640, mtime: time },
        { name: 'etc/hard', type: 'link', linkname: 'etc/passwd' },
        { name: 'etc/soft', type: 'symlink', linkname: '/etc/passwd', uid: 5, mtime: time },
        { name: 'dev/null', type: 'character-device', mode: 0o666, major: 1, minor: 3 },
        { name: 'dev/big', type: 'block-device', major: 259, minor: 70000 },
        { name: 'dev/pipe', type: 'fifo', mode: 0o622 },
        { name: 'bin/ping', text: 'x', xattrs: new Map([['security.capability', capability]]) },
      ],
      dir,
    );
    expect(result).toMatchObject({ size: 5, ignored: [] });
    const root = statSync(dir);
    expect([root.mode & 0o7777, root.uid]).toEqual([0o750, 7]);
    const passwd = lstatSync(join(dir, 'etc/passwd'), { bigint: true });
    expect([passwd.mode & 0o7777n, passwd.uid, passwd.gid, passwd.nlink, passwd.mtimeNs]).toEqual([
      0o4640n,
      10n,
      20n,
      2n,
      time,
    ]);
    expect(lstatSync(join(dir, 'etc/hard')).ino).toBe(Number(passwd.ino));
    expect(readlinkSync(join(dir, 'etc/soft'))).toBe('/etc/passwd');
    expect(lstatSync(join(dir, 'etc/soft'), { bigint: true }).mtimeNs).toBe(time);
    expect(lstatSync(join(dir, 'etc'), { bigint: true }).mtimeNs).toBe(time);
    const listing = execFileSync('stat', ['-c', '%n %F %t:%T', 'null', 'big', 'pipe'], {
      cwd: join(dir, 'dev'),
      encoding: 'utf8',
    });
    expect(listing).toBe(
      'null character special file 1:3\nbig block special file 103:11170\npipe fifo 0:0\n',
    );
    expect(getXattr(join(dir, 'bin/ping'), 'security.capability')).toEqual(capability);
  });

  test('tells the digest of the tar as it is uncompressed, of a gzip too', async () => {
    const tar = await tarOf([{ name: 'a', text: 'hello' }]);
    const plain = await applyLayer(streamOf(tar), scratch());
    const zipped = await applyLayer(streamOf(gzipSync(tar)), scratch());
    expect(plain.diffId).toBe(digestOf(tar));
    expect(zipped.diffId).toBe(digestOf(tar));
    const cut = gzipSync(tar).subarray(0, -4);
    await expect(applyLayer(streamOf(cut), scratch())).rejects.toThrow(/gzip data is damaged/);
    const xz = Buffer.from('fd377a585a000004', 'hex');
    await expect(applyLayer(streamOf(xz), scratch())).rejects.toThrow('compressed with xz');
  });

  test('a later entry replaces an earlier one, without writing through it', async () => {
    const [dir, outside] = [scratch(), scratch()];
    writeFileSync(join(outside, 'victim'), 'safe');
    await apply(
      [
        { name: 'a', type: 'symlink', linkname: join(outside, 'victim') },
        { name: 'a', text: 'new' },
        { name: 'd/x', text: '' },
        { name: 'd', text: 'now a file' },
        { name: 'h1', text: 'one' },
        { name: 'h2', type: 'link', linkname: 'h1' },
        { name: 'h2', text: 'two' },
      ],
      dir,
    );
    expect(readFileSync(join(outside, 'victim'), 'utf8')).toBe('safe');
    expect(readFileSync(join(dir, 'a'), 'utf8')).toBe('new');
    expect(readFileSync(join(dir, 'd'), 'utf8')).toBe('now a file');
    expect(readFileSync(join(dir, 'h1'), 'utf8')).toBe('one');
  });

  test('a whiteout removes what lies below, an opaque mark all but what its own layer put there', async () => {
    const lower = scratch();
    await apply(
      [
        { name: 'gone/deep/file', text: '' },
        { name: 'keep', text: 'k' },
        { name: 'dir/old', text: '' },
        { name: 'dir/sub/old', text: '' },
        { name: 'dir/sub/both', text: 'old' },
      ],
      lower,
    );
    const { merged, upper } = overlay(lower);
    await apply(
      [
        { name: '.wh.gone' },
        { name: '.wh.never-there' },
        { name: 'nowhere/.wh.x' },
        { name: '.wh..wh.plnk/1.2', text: 'AUFS kept its own things here' },
        { name: 'dir/sub/both', text: 'new' },
        { name: 'dir/new', text: '' },
        { name: 'dir/.wh..wh..opq' },
      ],
      merged,
    );
    expect(readdirSync(merged).sort()).toEqual(['dir', 'keep']);
    expect(readdirSync(join(merged, 'dir')).sort()).toEqual(['new', 'sub']);
    expect(readFileSync(join(merged, 'dir/sub/both'), 'utf8')).toBe('new');
    expect(isWhiteout(lstatSync(join(upper, 'gone')))).toBe(true);
  });

  test('in one layer by itself, marks become those of overlayfs', async () => {
    const dir = scratch();
    await apply(
      [{ name: 'a/.wh.gone' }, { name: 'b/', type: 'directory' }, { name: 'b/.wh..wh..opq' }],
      dir,
      { whiteouts: 'overlay' },
    );
    expect(isWhiteout(lstatSync(join(dir, 'a/gone')))).toBe(true);
    expect(isOpaque(join(dir, 'b'))).toBe(true);
  });

  test('works through a handle of a mount that hangs nowhere, which leaves nothing', async () => {
    const lower = scratch();
    await apply(
      [
        { name: 'lib', type: 'symlink', linkname: 'usr/lib' },
        { name: 'usr/lib/a', text: '' },
      ],
      lower,
    );
    const [upper, work] = [scratch(), scratch()];
    const fd = openMounts([
      {
        type: 'overlay',
        source: 'overlay',
        options: [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`],
      },
    ]);
    try {
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(upper);
      await applyLayer(streamOf(await tarOf([{ name: 'lib/b', text: 'b' }, { name: '.wh.lib' }])), fd);
    } finally {
      closeSync(fd);
    }
    // The link of the lower layer was followed, inside the root.
    expect(readFileSync(join(upper, 'usr/lib/b'), 'utf8')).toBe('b');
    expect(isWhiteout(lstatSync(join(upper, 'lib')))).toBe(true);
  });

  test('attributes that would speak to overlayfs, or have no place, are left out and told', async () => {
    const dir = scratch();
    const xattrs = new Map([['trusted.overlay.redirect', Buffer.from('/etc')]]);
    const { ignored } = await apply([{ name: 'd/', type: 'directory', xattrs }], dir);
    expect(ignored).toEqual(['trusted.overlay.redirect of "d/"']);
    expect(getXattr(join(dir, 'd'), 'trusted.overlay.redirect')).toBeUndefined();
  });
});

describe('a hostile layer', () => {
  /** The directory of the layer, and beside it one that nothing may touch. */
  function places(): { dir: string; outside: string; untouched: () => void } {
    const base = scratch();
    const [dir, outside] = [join(base, 'dir'), join(base, 'outside')];
    mkdirSync(dir);
    mkdirSync(outside);
    writeFileSync(join(outside, 'victim'), 'safe');
    const before = picture(outside);
    return {
      dir,
      outside,
      untouched: () => {
        expect(picture(outside)).toBe(before);
        expect(readdirSync(base).sort()).toEqual(['dir', 'outside']);
      },
    };
  }

  test.each<[string, Fields]>([
    ['a name with ..', { name: '../outside/victim', text: 'evil' }],
    ['a name with .. in the middle', { name: 'a/../../outside/victim', text: 'evil' }],
    ['an absolute name with ..', { name: '/../outside/victim', text: 'evil' }],
    ['a hard link to ..', { name: 'h', type: 'link', linkname: '../outside/victim' }],
    ['a whiteout of ..', { name: 'a/.wh...' }],
    ['a whiteout of .. where nothing is', { name: 'nowhere/.wh...' }],
    ['a whiteout of .', { name: 'a/.wh..' }],
    ['a whiteout of nothing', { name: 'a/.wh.' }],
    ['a whiteout behind ..', { name: '../outside/.wh.victim' }],
    ['a device that is a whiteout', { name: 'w', type: 'character-device' }],
    ['a hard link to what is not there', { name: 'h', type: 'link', linkname: 'etc/shadow' }],
  ])('%s is refused, and the entry is named', async (_, entry) => {
    const { dir, untouched } = places();
    const applied = apply([{ name: 'a/', type: 'directory' }, entry], dir);
    await expect(applied).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(applied).rejects.toThrow(`layer entry ${JSON.stringify(entry.name)}: `);
    untouched();
  });

  test.each([
    ['a link upwards', '../outside'],
    ['an absolute link', 'ABSOLUTE'],
    ['a link through /proc', '/proc/self/cwd'],
  ])('%s as a parent leads nowhere outside', async (_, link) => {
    const { dir, outside, untouched } = places();
    const linkname = link === 'ABSOLUTE' ? outside : link;
    const way: Fields = { name: 'way', type: 'symlink', linkname };
    for (const entry of [
      { name: 'way/victim', text: 'evil' },
      { name: 'way/new/victim', text: 'evil' },
      { name: 'way/h', type: 'link', linkname: 'way/victim' },
      { name: 'h', type: 'link', linkname: 'way/victim' },
      { name: 'way/victim', type: 'directory', mode: 0o777 },
    ] satisfies Fields[]) {
      await expect(apply([way, entry], dir)).rejects.toThrow(/refused|not in the layer/);
      untouched();
    }
    await apply([way, { name: 'way/.wh.victim' }, { name: 'way/.wh..wh..opq' }], dir);
    untouched();
  });

  test('a link out of the layer is followed inside it, where its target is there', async () => {
    const { dir, outside, untouched } = places();
    await apply(
      [
        { name: `${outside.slice(1)}/`, type: 'directory' },
        { name: 'way', type: 'symlink', linkname: outside },
        { name: 'way/victim', text: 'evil' },
      ],
      dir,
    );
    expect(readFileSync(join(dir, outside, 'victim'), 'utf8')).toBe('evil');
    untouched();
  });

  test('a directory swapped for a link does not have the time of the link target changed', async () => {
    const { dir, outside, untouched } = places();
    await apply(
      [
        { name: 'd/', type: 'directory', mtime: 1n },
        { name: 'd', type: 'symlink', linkname: outside },
      ],
      dir,
    );
    untouched();
  });
});

describe('changesOf and diffLayer', () => {
  function container(): ReturnType<typeof overlay> & { lower: string } {
    const lower = scratch();
    mkdirSync(join(lower, 'etc'));
    for (const name of ['passwd', 'group', 'hosts']) writeFileSync(join(lower, 'etc', name), name);
    mkdirSync(join(lower, 'old/deep'), { recursive: true });
    writeFileSync(join(lower, 'old/deep/file'), '');
    writeFileSync(join(lower, 'old/stays'), '');
    mkdirSync(join(lower, 'untouched'));
    return { ...overlay(lower), lower };
  }

  test('tell what docker diff tells: added, changed, deleted', () => {
    const { mounts, merged } = container();
    expect(changesOf(layersOf(mounts))).toEqual([]);
    writeFileSync(join(merged, 'etc/passwd'), 'changed');
    rmSync(join(merged, 'etc/group'));
    mkdirSync(join(merged, 'new'));
    writeFileSync(join(merged, 'new/file'), '');
    rmSync(join(merged, 'old'), { recursive: true });
    mkdirSync(join(merged, 'old'));
    writeFileSync(join(merged, 'old/stays'), 'again');
    expect(changesOf(layersOf(mounts)).map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'C /etc',
      'D /etc/group',
      'C /etc/passwd',
      'A /new',
      'A /new/file',
      'C /old',
      'D /old/deep',
      'C /old/stays',
    ]);
  });

  test('what was copied up and is as it was is no change, nor is a whiteout of what was never below', () => {
    const { mounts, merged, upper } = container();
    writeFileSync(join(merged, 'etc/tmp'), '');
    rmSync(join(merged, 'etc/tmp'));
    closeSync(openSync(join(merged, 'etc/hosts'), 'a'));
    expect(readdirSync(join(upper, 'etc'))).toContain('hosts');
    expect(changesOf(layersOf(mounts))).toEqual([]);
    chmodSync(join(merged, 'etc/hosts'), 0o600);
    expect(changesOf(layersOf(mounts)).map(({ path }) => path)).toEqual(['/etc', '/etc/hosts']);
  });

  test('a layer made of an upper directory gives the same view on another lower', async () => {
    const { merged, upper, lower } = container();
    chmodSync(join(merged, 'etc/passwd'), 0o4711);
    rmSync(join(merged, 'etc/group'));
    linkSync(join(merged, 'etc/passwd'), join(merged, 'etc/other-name'));
    symlinkSync('/nowhere', join(merged, 'link'));
    lutimesSync(join(merged, 'link'), 1, 1);
    execFileSync('mknod', [join(merged, 'null'), 'c', '1', '3']);
    execFileSync('mkfifo', [join(merged, 'pipe')]);
    setXattr(join(merged, 'etc/hosts'), 'user.note', Buffer.from([0xff, 0, 1]));
    rmSync(join(merged, 'old'), { recursive: true });
    mkdirSync(join(merged, 'old'));
    writeFileSync(join(merged, 'old/fresh'), 'x');

    const layer = await collect(diffLayer(upper));
    const names: string[] = [];
    for await (const { header } of readTar(streamOf(layer))) names.push(header.name);
    expect(names).toContain('etc/.wh.group');
    expect(names.indexOf('old/.wh..wh..opq')).toBe(names.indexOf('old/') + 1);

    // Onto the merged view of a second container, and as a layer of a third.
    const second = overlay(lower);
    await applyLayer(streamOf(layer), second.merged);
    expect(picture(second.merged)).toBe(picture(merged));
    expect(getXattr(join(second.merged, 'etc/hosts'), 'user.note')).toEqual(Buffer.from([0xff, 0, 1]));

    const middle = scratch();
    await applyLayer(streamOf(layer), middle, { whiteouts: 'overlay' });
    const third = overlay(`${middle}:${lower}`);
    expect(picture(third.merged)).toBe(picture(merged));
    expect(await collect(diffLayer(middle))).toEqual(layer);
  });

  test('GNU tar can read the layer', async () => {
    const { merged, upper } = container();
    writeFileSync(join(merged, 'new'), 'text');
    const listing = execFileSync('tar', ['-tf', '-'], { input: await collect(diffLayer(upper)) }).toString();
    expect(listing).toBe('new\n');
    expect(existsSync(join(upper, 'new'))).toBe(true);
  });

  test('mounts that are not one writable snapshot are refused', () => {
    expect(() => layersOf([])).toThrow(/one writable/);
    expect(() => layersOf([{ type: 'overlay', source: 'overlay', options: ['lowerdir=/a:/b'] }])).toThrow(
      /one writable/,
    );
  });
});
