import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { loadArchive, makeBaseImage, openImageStore, type ContentStore, type Descriptor } from '../index.ts';

/** Makes the base image in `dir` and loads it into a store. */
export async function loadBaseImage(content: ContentStore, dir: string): Promise<Descriptor> {
  const out = join(dir, 'base.tar');
  await makeBaseImage({ out });
  const images = await openImageStore(join(dir, 'images'));
  const [image] = await loadArchive(createReadStream(out), { content, images });
  return image!.target;
}
