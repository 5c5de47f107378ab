import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { digestOf, type Digest } from './digest.ts';
import { notFound, failedPrecondition } from './errors.ts';
import { hostPlatform, MEDIA_TYPE, type Descriptor, type ImageConfig, type Manifest } from './image.ts';
import { archiveOf } from './save-archive.ts';
import { writeFileAtomic } from './state-file.ts';
import { tarHeader } from './tar-header.ts';
import { writeTar, type TarInput } from './tar.ts';

/** The name that the image carries. */
const NAME = 'docker.io/library/busybox:latest';
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The machine's own busybox, from Debian's package busybox-static.
 * @throws StoreError NOT_FOUND that says what to install
 */
export function findBusybox(): string {
  const path = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (path === undefined)
    throw notFound('a static busybox (type: sudo apt-get install busybox-static): /bin/busybox');
  return path;
}

/**
 * Makes an image of one program: busybox, a hard link for each of its applets, and the few files and directories that programs
 * expect. Written to `out` as an OCI layout in a tar that `docker load` reads too. The same busybox gives the same bytes, so
 * the same digests, on every machine and at any time: no clock, no compression and no order of a directory goes into it.
 * @throws StoreError FAILED_PRECONDITION when busybox needs shared libraries, which the image would not have
 */
export async function makeBaseImage({
  busybox = findBusybox(),
  out,
}: {
  busybox?: string;
  out: string;
}): Promise<{ name: string; imageId: Digest; target: Descriptor }> {
  const program = await readFile(busybox);
  if (!isStaticElf(program))
    throw failedPrecondition(
      `${busybox} is no static program, so it would not start alone (type: sudo apt-get install busybox-static)`,
    );
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8', env: {} }).trim().split('\n');
  const layer = await collect(writeTar(filesOf(program, applets)));
  const config: ImageConfig = {
    created: '1970-01-01T00:00:00Z',
    ...hostPlatform(),
    config: { Env: [`PATH=${PATH}`], Cmd: ['sh'] },
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'the static busybox of the machine' }],
  };
  const configBytes = Buffer.from(JSON.stringify(config));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: descriptorOf(MEDIA_TYPE.config, configBytes),
    layers: [descriptorOf(MEDIA_TYPE.layer, layer)],
  };
  const manifestBytes = Buffer.from(JSON.stringify(manifest));
  const target = descriptorOf(MEDIA_TYPE.manifest, manifestBytes);
  const blobs = [layer, configBytes, manifestBytes].map((data) => ({
    digest: digestOf(data),
    size: data.length,
    read: () => [data],
  }));
  await writeFileAtomic(
    out,
    await collect(archiveOf([{ names: [NAME], descriptor: target, manifest }], blobs)),
  );
  return { name: NAME, imageId: manifest.config.digest, target };
}

const descriptorOf = (mediaType: string, data: Buffer): Descriptor => ({
  mediaType,
  digest: digestOf(data),
  size: data.length,
});

/** Users and groups with the numbers that Debian gives them. */
const PASSWD = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
`;
const GROUP = `root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
tty:x:5:
disk:x:6:
wheel:x:10:root
mail:x:8:
www-data:x:33:
users:x:100:
nogroup:x:65534:
`;

/** Everything in the image, sorted by name. */
function filesOf(program: Buffer, applets: readonly string[]): TarInput[] {
  const directory = (name: string, mode = 0o755): TarInput => ({
    header: tarHeader({ name: `${name}/`, type: 'directory', mode }),
  });
  const file = (name: string, text: string | Buffer, mode = 0o644): TarInput => ({
    header: tarHeader({ name, mode, size: Buffer.byteLength(text) }),
    body: Buffer.from(text),
  });
  const links = applets
    .filter((applet) => applet !== 'busybox' && !applet.includes('/'))
    .sort()
    .map((applet) => ({
      header: tarHeader({ name: `bin/${applet}`, type: 'link', linkname: 'bin/busybox', mode: 0o755 }),
    }));
  return [
    directory('bin'),
    file('bin/busybox', program, 0o755),
    ...links,
    directory('dev'),
    directory('etc'),
    file('etc/group', GROUP),
    file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    file('etc/passwd', PASSWD),
    file('etc/shells', '/bin/sh\n'),
    directory('home'),
    directory('proc'),
    directory('root', 0o700),
    directory('sys'),
    directory('tmp', 0o1777),
    directory('usr'),
    directory('usr/bin'),
    { header: tarHeader({ name: 'usr/bin/env', type: 'symlink', linkname: '../../bin/env', mode: 0o777 }) },
    directory('usr/sbin'),
    directory('var'),
    directory('var/spool'),
    directory('var/spool/mail'),
    directory('var/www'),
  ];
}

/** Whether a file is a program that asks for no loader: an ELF file without a segment PT_INTERP. elf(5). */
export function isStaticElf(file: Buffer): boolean {
  if (file.toString('latin1', 0, 4) !== '\x7fELF') return false;
  const wide = file[4] === 2;
  const PT_INTERP = 3;
  const offset = wide ? Number(file.readBigUInt64LE(0x20)) : file.readUInt32LE(0x1c);
  const entrySize = file.readUInt16LE(wide ? 0x36 : 0x2a);
  const entries = file.readUInt16LE(wide ? 0x38 : 0x2c);
  for (let i = 0; i < entries; i++) if (file.readUInt32LE(offset + i * entrySize) === PT_INTERP) return false;
  return true;
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
