import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from '../01-processes/index.ts';
import {
  openContentStore,
  parseReference,
  pullImage,
  pushImage,
  resolveImage,
  shortDigest,
  type ContentStore,
  type Descriptor,
  type Progress,
} from './index.ts';
import { serveRegistry } from './registry-server.ts';

// Two images that share a layer go to a registry of this demo's own, and come back.

/** The last word that was said about each layer. */
function lastWords(lines: readonly Progress[]): Record<string, string> {
  const layers = lines.filter(({ id }) => id !== undefined && /^[\da-f]{12}$/.test(id));
  return Object.fromEntries(layers.map(({ id, status }) => [id!, status]));
}

/** Requests without what is in every one of them, and with digests as short as progress has them. */
const shortened = (log: readonly string[]): string[] =>
  log
    .filter((line) => !line.startsWith('GET /v2/ '))
    .map((line) =>
      line
        .replace(/\/uploads\/[\da-f-]{36}/, '/uploads/ID')
        .replace(/\?digest=\S+/, '?digest=…')
        .replace(/(sha256(?::|%3A))([\da-f]{12})[\da-f]{52}/g, '$1$2'),
    );

export async function pushAndPull(
  s: Step,
  content: ContentStore,
  [first, second]: [Descriptor, Descriptor],
  dir: string,
): Promise<void> {
  const registry = await serveRegistry(join(dir, 'registry'));
  s.cleanup(`stop the registry at ${registry.host}`, registry.stop);
  const push = async (target: Descriptor, name: string): Promise<string[]> => {
    registry.log.length = 0;
    const lines: Progress[] = [];
    const reference = parseReference(`${registry.host}/${name}`);
    await pushImage(content, target, reference, { report: (line) => lines.push(line), width: 1 });
    const said = lastWords(lines);
    s.evidence(`docker push ${name}`, said);
    return Object.values(said);
  };
  const sent = await push(first, 'shop:1');
  for (const line of shortened(registry.log)) s.call(line.slice(0, -4), line.slice(-3));
  s.claim('both layers went there', sent.filter((word) => word === 'Pushed').length === 2);
  s.claim('the manifest came last', registry.log.at(-1) === 'PUT /v2/shop/manifests/1 201');
  s.claim(
    'the layer they share was not sent again',
    (await push(second, 'shop:2')).includes('Layer already exists'),
  );
  const mounted = await push(first, 'stall:1');
  s.claim(
    'what another repository has is mounted, not sent',
    mounted.every((word) => word === 'Mounted from shop'),
  );

  const pull = async (into: ContentStore, name: string): Promise<string[]> => {
    const lines: Progress[] = [];
    const { target } = await pullImage(into, parseReference(`${registry.host}/${name}`), {
      report: (line) => lines.push(line),
      pause: 50,
    });
    const said = lastWords(lines);
    s.evidence(`docker pull ${name.replace(/(sha256:\w{12})\w+/, '$1…')}`, said);
    return [target.digest, ...Object.values(said)];
  };
  const elsewhere = await openContentStore(join(dir, 'elsewhere'));
  const [digest] = await pull(elsewhere, `shop@${first.digest}`);
  s.claim('by its digest the same image came back', digest === first.digest);
  const [, ...words] = await pull(elsewhere, 'shop:2');
  s.claim('of the second image one layer was there', words.includes('Already exists'));

  const top = (await resolveImage(content, first)).manifest.layers.at(-1)!;
  const file = registry.blobPath(top.digest);
  const bytes = readFileSync(file);
  bytes[bytes.indexOf('world')]! ^= 0x20;
  writeFileSync(file, bytes);
  const victim = await openContentStore(join(dir, 'victim'));
  const refusal = await pull(victim, 'shop:1').then(String, (error: Error) => error.message);
  s.evidence('after one letter of a layer was changed on the registry’s disk', {
    'docker pull shop:1': refusal,
  });
  s.claim('what is not what its name says is refused', refusal.includes('verification failed'));
  const kept = (await victim.list()).map(({ digest }) => digest);
  s.claim('and nothing of it was kept', !kept.includes(top.digest) && (await victim.statuses()).length === 0);
  s.evidence('whole in the store, for the next try', {
    blobs: kept.map(shortDigest).sort().join(' '),
  });
}
