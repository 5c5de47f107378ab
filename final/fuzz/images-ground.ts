import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  digestOf,
  openContentStore,
  openImageStore,
  overlayfsSnapshotter,
  type ContentStore,
  type ImageStore,
  type Snapshotter,
} from '../../chapters/04-overlayfs/index.ts';
import { wildRegistry, type WildRegistry } from './images-registry.ts';
import { makeSamples, type Samples } from './images-samples.ts';

/** Where cases are tried: a folder with `work`, all of which they may change, and `outside`, of which nothing. */
export interface Ground {
  work: string;
  outside: string;
  samples: Samples;
  content: ContentStore;
  images: ImageStore;
  snapshots: Snapshotter;
  registry: WildRegistry;
  /** Says what a case should not have done; `undefined`: nothing. Takes away what it has left in the stores. */
  judge(touched: 'files' | 'stores', failed: boolean): Promise<string | undefined>;
  close(): Promise<void>;
}

/** What the stores hold from the beginning, and must hold to the end. */
const BEFORE = Buffer.from('there before');

export async function openGround(dir: string): Promise<Ground> {
  const [work, outside] = [join(dir, 'work'), join(dir, 'outside')];
  for (const path of [work, outside, join(dir, 'images')]) mkdirSync(path, { recursive: true });
  writeFileSync(join(outside, 'canary'), 'alive');
  writeFileSync(join(outside, 'new'), 'not new');
  const content = await openContentStore(join(dir, 'content'));
  const images = await openImageStore(join(dir, 'images'));
  const snapshots = await overlayfsSnapshotter(join(dir, 'snapshots'));
  const registry = await wildRegistry();
  const writer = await content.writer('before');
  await writer.write(BEFORE);
  const before = await writer.commit();
  const untouched = stateOf(outside);

  /** What is in the stores that was not there before: taken away, and told. */
  async function added(): Promise<string[]> {
    const found: string[] = [];
    for (const { name } of await images.list()) {
      found.push(`image ${name}`);
      await images.delete(name);
    }
    for (let list = await snapshots.list(); list.length > 0; list = await snapshots.list())
      for (const { name, kind } of list.filter((one) => !list.some(({ parent }) => parent === one.name))) {
        found.push(`${kind} ${name}`);
        await snapshots.remove(name);
      }
    for (const { digest } of await content.list()) {
      if (digest === before) continue;
      if (digestOf(await content.readAll(digest)) !== digest) found.push(`damaged blob ${digest}`);
      found.push(`blob ${digest}`);
      await content.delete(digest);
    }
    for (const { ref } of await content.statuses()) {
      found.push(`ingest ${ref}`);
      await content.abort(ref);
    }
    return found;
  }

  return {
    work, outside, content, images, snapshots, registry, samples: await makeSamples(outside),
    async judge(touched, failed) {
      const left = touched === 'stores' ? await added() : [];
      rmSync(work, { recursive: true, force: true });
      mkdirSync(work);
      if (stateOf(outside) !== untouched) return `it reached outside: ${stateOf(outside)}`;
      if (readdirSync(dir).sort().join() !== 'content,images,outside,snapshots,work') return `it left ${readdirSync(dir).join(', ')}`;
      if (touched === 'stores' && !(await content.readAll(before)).equals(BEFORE)) return 'what was in the store before has changed';
      const escaped = ['/fuzz-escape', '/etc/fuzz-escape', 'fuzz-escape'].find((path) => existsSync(path));
      if (escaped) return `it wrote ${escaped}`;
      // What is whole may stay: blobs for the next try, layers that another image may need. Nothing that is half there, and no name.
      const wrong = left.filter((one) => one.startsWith('damaged') || (failed && /^(image|active) /.test(one)));
      return wrong.length > 0 ? `it ${failed ? 'failed and ' : ''}left ${wrong.join(', ')}` : undefined;
    },
    close: async () => {
      await snapshots.close();
      await registry.stop();
    },
  }; // prettier-ignore
}

function stateOf(dir: string): string {
  return readdirSync(dir)
    .sort()
    .map((name) => {
      const { mtimeNs, ctimeNs, mode, uid, nlink, size } = lstatSync(join(dir, name), { bigint: true });
      return `${name} ${[mtimeNs, ctimeNs, mode, uid, nlink, size].join()} ${readFileSync(join(dir, name), 'utf8')}`;
    })
    .join('\n');
}
