/** Run by rootless.test.ts as root of a user namespace that someone without rights has made: works on a snapshot, and tells. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  applyLayer,
  changesOf,
  diffLayer,
  layersOf,
  mountAll,
  overlayfsSnapshotter,
  readTar,
  tarHeader,
  unmountAll,
  writeTar,
} from '../index.ts';

const dir = process.argv[2]!;
const snapshots = await overlayfsSnapshotter(join(dir, 'snapshots'));
const target = mkdtempSync(join(dir, 'root-'));

mountAll(await snapshots.prepare('base', ''), target);
await applyLayer(
  writeTar([
    { header: tarHeader({ name: 'etc/passwd', size: 4 }), body: Buffer.from('root') },
    { header: tarHeader({ name: 'etc/shadow' }) },
    { header: tarHeader({ name: 'cache/old' }) },
  ]),
  target,
);
unmountAll(target);
await snapshots.commit('layer', 'base');

const mounts = await snapshots.prepare('child', 'layer');
mountAll(mounts, target);
rmSync(join(target, 'etc/shadow'));
rmSync(join(target, 'cache'), { recursive: true });
mkdirSync(join(target, 'cache'));
writeFileSync(join(target, 'new'), 'new');

const refusal = async (fields: Partial<Parameters<typeof tarHeader>[0]>): Promise<string> =>
  applyLayer(writeTar([{ header: tarHeader({ name: 'refused', ...fields }) }]), target).then(
    () => 'taken',
    (error: Error) => error.message,
  );
const refusals = [
  await refusal({ type: 'character-device', major: 1, minor: 3 }),
  await refusal({ uid: 4711 }),
];
rmSync(join(target, 'refused'), { force: true });

const changes = changesOf(layersOf(mounts)).map(({ kind, path }) => `${kind} ${path}`);
const names: string[] = [];
for await (const { header } of readTar(diffLayer(layersOf(mounts)))) names.push(header.name);
unmountAll(target);
await snapshots.close();
console.log(JSON.stringify({ mounts, changes, names, refusals }));
