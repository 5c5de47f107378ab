import { gzipSync } from 'node:zlib';
import {
  digestHex,
  digestOf,
  MEDIA_TYPE,
  tarHeader,
  writeTar,
  type Descriptor,
  type Digest,
  type ImageConfig,
  type Index,
  type Manifest,
  type TarHeader,
  type TarInput,
} from '../../chapters/04-overlayfs/index.ts';

/** The parts of an image, to be mutated before they are put together. */
export interface Documents {
  config: ImageConfig;
  manifest: Manifest;
  index: Index;
}

/** What is whole and in order, and is mutated. */
export interface Samples {
  layer: Buffer;
  /** Two layers, and the documents of an image of them. */
  layers: [Buffer, Buffer];
  documents: Documents;
  /** The same image as `docker save` wrote it until 2023. */
  dockerSave: Buffer;
  layout: Buffer;
}

const file = (name: string, body: string | Buffer): TarInput => ({
  header: tarHeader({ name, size: Buffer.byteLength(body) }),
  body: Buffer.from(body),
});
const other = (name: string, fields: Partial<TarHeader>): TarInput => ({
  header: tarHeader({ name, ...fields }),
});

export const tarOf = async (entries: readonly TarInput[]): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of writeTar(entries)) chunks.push(chunk);
  return Buffer.concat(chunks);
};

/** One of each. `outside` is a folder that the layer has a link to. */
export async function makeSamples(outside: string): Promise<Samples> {
  const layer = await tarOf([
    other('dir/', { type: 'directory', mode: 0o755, mtime: 1_600_000_000_123_456_789n }),
    file('dir/a', 'first'),
    file('dir/b', Buffer.alloc(3000, 'b')),
    other('dir/hard', { type: 'link', linkname: 'dir/a' }),
    other('link', { type: 'symlink', linkname: outside }),
    other('up', { type: 'symlink', linkname: '../../..' }),
    other('fifo', { type: 'fifo' }),
    other('device', { type: 'character-device', major: 1, minor: 3 }),
    file(`deep/${'long-name/'.repeat(12)}end`, 'x'),
    {
      ...file('caps', 'y'),
      header: tarHeader({ name: 'caps', size: 1, xattrs: new Map([['user.a', Buffer.from([0, 255])]]) }),
    },
    file('.wh.gone', ''),
    file('dir/.wh..wh..opq', ''),
  ]);
  const second = await tarOf([file('dir/c', 'second layer'), file('dir/.wh.a', '')]);
  const layers: [Buffer, Buffer] = [gzipSync(layer), second];
  const documents = documentsOf([layer, second], layers);
  return {
    layer,
    layers,
    documents,
    layout: await layoutOf(documents, layers),
    dockerSave: await tarOf([
      file('config.json', JSON.stringify(documents.config)),
      file('1/layer.tar', layers[0]),
      file('2/layer.tar', layers[1]),
      other('3/layer.tar', { type: 'symlink', linkname: '../2/layer.tar' }),
      file(
        'manifest.json',
        JSON.stringify([
          { Config: 'config.json', RepoTags: ['fuzz:1'], Layers: ['1/layer.tar', '3/layer.tar'] },
        ]),
      ),
    ]),
  };
}

const descriptor = (mediaType: string, bytes: Buffer): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
});

function documentsOf(plain: readonly Buffer[], blobs: readonly Buffer[]): Documents {
  const config: ImageConfig = {
    os: 'linux',
    architecture: 'amd64',
    created: '2024-01-01T00:00:00Z',
    config: { Env: ['PATH=/bin'], Cmd: ['sh'], Labels: { a: 'b' } },
    rootfs: { type: 'layers', diff_ids: plain.map((layer) => digestOf(layer)) },
    history: [{ created_by: 'one' }, { created_by: 'two' }],
  };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: descriptor(MEDIA_TYPE.config, Buffer.from(JSON.stringify(config))),
    layers: blobs.map((blob, i) => descriptor(i === 0 ? MEDIA_TYPE.layerGzip : MEDIA_TYPE.layer, blob)),
  };
  const target = descriptor(MEDIA_TYPE.manifest, Buffer.from(JSON.stringify(manifest)));
  const annotations = { 'io.containerd.image.name': 'docker.io/library/fuzz:1' };
  return {
    config,
    manifest,
    index: {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.index,
      manifests: [{ ...target, platform: { os: 'linux', architecture: 'amd64' }, annotations }],
    },
  };
}

/** The documents again, each naming the next by the digest that it really has: what was mutated is then reached, not just refused. */
export function linked({ config, manifest, index }: Documents): Documents & { blobs: Buffer[] } {
  const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value) ?? 'null');
  const point = (value: unknown, to: Buffer): void => {
    if (typeof value === 'object' && value !== null)
      Object.assign(value, { digest: digestOf(to), size: to.length });
  };
  const configBytes = bytes(config);
  point((manifest as Partial<Manifest> | null)?.config, configBytes);
  const manifestBytes = bytes(manifest);
  const manifests = (index as Partial<Index> | null)?.manifests;
  if (Array.isArray(manifests)) point(manifests[0], manifestBytes);
  return { config, manifest, index, blobs: [configBytes, manifestBytes] };
}

/** An OCI layout of documents that are linked, and layers. */
export const layoutOf = (documents: Documents, layers: readonly Buffer[]): Promise<Buffer> =>
  tarOf([
    file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
    file('index.json', JSON.stringify(documents.index) ?? ''),
    ...[...linked(documents).blobs, ...layers].map((blob) =>
      file(`blobs/sha256/${digestHex(digestOf(blob) as Digest)}`, blob),
    ),
  ]);

export const DOCKERFILE = `# escape=\\
# a comment
ARG BASE=busybox
FROM --platform=linux/amd64 \${BASE:-none} AS made
ARG WHO=nobody
ENV ONE=1 TWO="two words" THREE=\${ONE:+three}$TWO
ENV OLD the rest
RUN echo "for $WHO" > who && \\
    # between
    cat a.txt >> who
COPY --chown=1:2 --chmod=644 ["a b", "*.md", "/dest/"]
ADD --chown=1 files.tar.gz /unpacked/
FROM scratch
COPY --from=made /made/who ./
LABEL one=1 two='2 "2"' "three"=\${WHO-}
USER 1000:1000
WORKDIR /app/\$ONE
EXPOSE 80 53/udp 8000-8010
VOLUME ["/data", "/more"]
STOPSIGNAL SIGUSR1
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5s --timeout=1m30s --retries=2 CMD true || exit 1
ONBUILD RUN echo
MAINTAINER somebody
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo", "\$ONE"]
`;

export const IGNORE = '# comment\n*.log\n!keep.log\n**/node_modules\n/a/*/b?\n[a-z]*.c\n!**/x/**\n';

export const REFERENCES = [
  'busybox', 'busybox:1.36', 'library/busybox', 'user/app:tag_1.0-x', 'localhost/a', 'localhost:5000/a/b/c:1', '[::1]:5000/x', 'registry.example.com/team/app',
  `busybox@sha256:${'0a'.repeat(32)}`, `r.io:443/a__b/c-d.e:v1@sha256:${'1b'.repeat(32)}`, 'docker.io/x', 'index.docker.io/library/y', 'A/b', 'a//b', 'a:', ':a',
]; // prettier-ignore

export const CHALLENGES = [
  'Bearer realm="http://127.0.0.1:1/token",service="registry",scope="repository:a/b:pull,push"', 'Basic realm="x"', 'Basic realm="a\\"b", Bearer realm=c',
  'Negotiate, NTLM, Digest qop="auth, auth-int", nonce="x"', 'Bearer', '', ',,,', 'realm="no scheme"',
]; // prettier-ignore
