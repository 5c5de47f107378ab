import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from '../01-processes/index.ts';
import {
  btrfsSnapshotter,
  mountAll,
  nativeSnapshotter,
  overlayfsSnapshotter,
  unmountAll,
  type Snapshotter,
} from './index.ts';

// Three ways to keep snapshots, on a filesystem of each one's own, so that its use can be read from df.

const MIB = 1024 * 1024;
const BIG = 16 * MIB;
const SMALL_FILES = 400;

const WAYS: readonly {
  name: string;
  type: string;
  needs: string;
  open: (dir: string) => Promise<Snapshotter>;
}[] = [
  { name: 'overlayfs', type: 'ext4', needs: 'e2fsprogs', open: overlayfsSnapshotter },
  { name: 'plain copies', type: 'ext4', needs: 'e2fsprogs', open: nativeSnapshotter },
  { name: 'btrfs', type: 'btrfs', needs: 'btrfs-progs', open: btrfsSnapshotter },
];

/** What a second container on one image costs, and its first small write to a large file. */
export async function costs(s: Step, dir: string): Promise<void> {
  const table: Record<string, string> = {};
  const spent = new Map<string, { prepare: number; write: number }>();
  for (const { name, type, needs, open } of WAYS) {
    const disk = join(dir, name.replace(' ', '-'));
    const why = makeDisk(disk, type, needs);
    if (why !== undefined) {
      s.note(`${name}: not shown, ${why}`);
      continue;
    }
    s.cleanup(`unmount ${disk}`, () => void execFileSync('umount', ['--lazy', disk]));
    const snapshots = await open(join(disk, 'snapshots'));
    s.cleanup(`close ${disk}`, () => snapshots.close());
    const [base] = await snapshots.prepare('base', '');
    for (let i = 0; i < SMALL_FILES; i++)
      writeFileSync(join(base!.source, `file-${i}`), Buffer.alloc(16384, `${i}`));
    writeFileSync(join(base!.source, 'big'), Buffer.alloc(BIG, 'x'));
    await snapshots.commit('image', 'base');

    const prepare = await measured(disk, () => snapshots.prepare('container', 'image'));
    const root = join(dir, `root-${name.replace(' ', '-')}`);
    mkdirSync(root);
    mountAll(await snapshots.mounts('container'), root);
    s.cleanup(`unmount ${root}`, () => unmountAll(root));
    const write = await measured(disk, () => writeOneByte(join(root, 'big')));
    table[name] =
      `prepare ${prepare.time}, ${size(prepare.bytes)}; one byte into 16 MiB ${write.time}, ${size(write.bytes)}`;
    s.claim(
      `${name}: the image has not changed`,
      readFileSync(join((await snapshots.view('view', 'image'))[0]!.source, 'big'), 'latin1').startsWith(
        'xx',
      ),
    );
    spent.set(name, { prepare: prepare.bytes, write: write.bytes });
  }
  s.evidence('an image of 22 MiB in 401 files', table);
  const of = (name: string): { prepare: number; write: number } | undefined => spent.get(name);
  const [overlay, native, btrfs] = [of('overlayfs'), of('plain copies'), of('btrfs')];
  if (overlay) {
    s.claim('overlayfs: a container begins with nothing of its own', overlay.prepare < MIB);
    s.claim('overlayfs: one byte costs the whole file', overlay.write >= BIG);
  }
  if (native) {
    s.claim('plain copies: a container begins with all of its image', native.prepare >= BIG);
    s.claim('plain copies: then a byte costs nothing more', native.write < MIB);
  }
  if (btrfs) s.claim('btrfs: neither costs much', btrfs.prepare < MIB && btrfs.write < MIB);
}

/** Makes and mounts a filesystem in a file. Returns why that cannot be done on this machine. */
function makeDisk(disk: string, type: string, needs: string): string | undefined {
  mkdirSync(disk);
  const image = `${disk}.img`;
  execFileSync('truncate', ['-s', '256M', image]);
  const made = spawnSync(`mkfs.${type}`, ['-q', image], { encoding: 'utf8' });
  if (made.error) return `this machine has no mkfs.${type} (Debian has it in ${needs})`;
  const mounted = spawnSync('mount', ['-t', type, '-o', 'loop', image, disk], { encoding: 'utf8' });
  return mounted.status === 0
    ? undefined
    : `this machine mounts no ${type} from a file: ${mounted.stderr.trim()}`;
}

/** How long something took, and what it took of a filesystem, when all is on the disk. */
async function measured(disk: string, work: () => unknown): Promise<{ time: string; bytes: number }> {
  const used = (): number => {
    execFileSync('sync', ['-f', disk]);
    const { blocks, bfree, bsize } = statfsSync(disk);
    return (blocks - bfree) * bsize;
  };
  const before = used();
  const start = performance.now();
  await work();
  const time = performance.now() - start;
  return { time: `${time.toFixed(1)} ms`, bytes: used() - before };
}

function writeOneByte(path: string): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, '!', 1000);
  closeSync(fd);
}

const size = (bytes: number): string =>
  bytes >= MIB ? `${(bytes / MIB).toFixed(1)} MiB` : `${bytes >> 10} KiB`;
