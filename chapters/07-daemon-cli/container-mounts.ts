import { mkdirSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { badParameter, notImplemented } from './api-error.ts';
import type { ContainerConfig, HostConfig, MountPoint, MountRequest } from './container.ts';
import type { VolumeStore } from './volume-store.ts';

/** What a bind or a volume is asked to be, before anything is made. An empty volume's name: one is to be drawn. */
export interface WantedMount {
  type: 'bind' | 'volume';
  /** A path of the host, or a volume's name. */
  source: string;
  destination: string;
  mode: string;
  writable: boolean;
  propagation: string;
  /** The source is made if it is not there: `-v` does so, `--mount` does not. */
  makeSource: boolean;
}

const PROPAGATIONS = ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'];

/** Reads one `-v` of the command line: `SOURCE:DESTINATION[:MODE,…]`. @throws ApiError 400 in Docker's words */
export function parseBind(bind: string): WantedMount {
  const [source, destination, mode = '', more] = bind.split(':');
  if (!source || !destination || more !== undefined)
    throw badParameter(`invalid volume specification: '${bind}'`);
  checkDestination(bind, destination);
  const words = mode.split(',').filter(Boolean);
  const known = ['ro', 'rw', 'z', 'Z', 'nocopy', 'consistent', 'cached', 'delegated', ...PROPAGATIONS];
  const strange = words.find((word) => !known.includes(word));
  if (strange !== undefined) throw badParameter(`invalid mode: ${strange}`);
  const type = source.startsWith('/') ? 'bind' : 'volume';
  if (type === 'volume' && /[/]/.test(source))
    throw badParameter(
      `create ${source}: "${source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  return {
    type,
    source: type === 'bind' ? posix.normalize(source) : source,
    destination: posix.normalize(destination),
    mode,
    writable: !words.includes('ro'),
    propagation: words.find((word) => PROPAGATIONS.includes(word)) ?? (type === 'bind' ? 'rprivate' : ''),
    makeSource: true,
  };
}

function parseMount(mount: MountRequest): WantedMount | undefined {
  const bad = (why: string): never => {
    throw badParameter(`invalid mount config for type "${mount.Type}": ${why}`);
  };
  if (!mount.Target) bad('field Target must not be empty');
  checkDestination(mount.Target, mount.Target);
  const common = {
    destination: posix.normalize(mount.Target),
    mode: '',
    writable: !mount.ReadOnly,
  };
  switch (mount.Type) {
    case 'bind':
      if (!mount.Source) bad('field Source must not be empty');
      if (!mount.Source!.startsWith('/'))
        bad(`invalid mount path: '${mount.Source}' mount path must be absolute`);
      return {
        ...common,
        type: 'bind',
        source: posix.normalize(mount.Source!),
        propagation: mount.BindOptions?.Propagation || 'rprivate',
        makeSource: mount.BindOptions?.CreateMountpoint ?? false,
      };
    case 'volume':
      return { ...common, type: 'volume', source: mount.Source ?? '', propagation: '', makeSource: true };
    case 'tmpfs':
      return undefined;
    default:
      throw notImplemented(
        `mount type ${JSON.stringify(mount.Type)}: this engine has bind, volume and tmpfs`,
      );
  }
}

/**
 * Everything that is to be mounted: `-v`, `--mount`, and the anonymous volumes of the image and the command line where nothing
 * else has their place.
 * @throws ApiError 400, also when two have one place
 */
export function wantedMounts(config: ContainerConfig, host: HostConfig): WantedMount[] {
  const wanted = [
    ...(host.Binds ?? []).map(parseBind),
    ...(host.Mounts ?? []).flatMap((mount) => parseMount(mount) ?? []),
  ];
  const tmpfs = tmpfsMounts(host).map(({ destination }) => destination);
  const places = [...wanted.map(({ destination }) => destination), ...tmpfs];
  const twice = places.find((place, index) => places.indexOf(place) !== index);
  if (twice !== undefined) throw badParameter(`Duplicate mount point: ${twice}`);
  for (const destination of Object.keys(config.Volumes ?? {})) {
    checkDestination(destination, destination);
    if (places.includes(posix.normalize(destination))) continue;
    wanted.push({
      type: 'volume',
      source: '',
      destination: posix.normalize(destination),
      mode: '',
      writable: true,
      propagation: '',
      makeSource: true,
    });
  }
  return wanted;
}

/** Checks the sources and makes what is missing: directories for `-v`, volumes. @throws ApiError 400 */
export async function makeMountPoints(
  wanted: readonly WantedMount[],
  volumes: VolumeStore,
): Promise<MountPoint[]> {
  for (const mount of wanted) if (mount.type === 'bind') checkSource(mount);
  const points: MountPoint[] = [];
  for (const { type, source, destination, mode, writable, propagation } of wanted) {
    const common = { destination, mode: mode || (type === 'volume' ? 'z' : ''), writable, propagation };
    if (type === 'bind') points.push({ type, source, ...common });
    else {
      const { name } = await volumes.create(source);
      points.push({ type, name, source: volumes.path(name), ...common });
    }
  }
  return points;
}

function checkSource({ source, makeSource }: WantedMount): void {
  try {
    statSync(source);
  } catch (error) {
    if (!isErrno(error, 'ENOENT'))
      throw badParameter(`invalid mount source ${source}: ${(error as Error).message}`);
    if (!makeSource)
      throw badParameter(`invalid mount config for type "bind": bind source path does not exist: ${source}`);
    mkdirSync(source, { recursive: true });
  }
}

function checkDestination(spec: string, destination: string): void {
  if (!destination.startsWith('/'))
    throw badParameter(
      `invalid volume specification: '${spec}': invalid mount config for type "bind": invalid mount path: '${destination}' mount path must be absolute`,
    );
  if (posix.normalize(destination) === '/')
    throw badParameter(
      `invalid volume specification: '${spec}': invalid mount config for type "bind": invalid specification: destination can't be '/'`,
    );
}

/** What may be said of a tmpfs. Source: tmpfs(5), and mount(8) for the flags that are of every file system. */
const TMPFS_OPTION =
  /^(?:(?:size|nr_blocks|nr_inodes)=\d+[kmg%]?|mode=[0-7]{1,5}|[ug]id=\d+|mpol=\S+|huge=\w+|r[ow]|defaults|(?:no)?(?:exec|suid|dev|atime|diratime|relatime|strictatime)|a?sync|r?(?:private|shared|slave|unbindable))$/i;

/** Memory in the place of a directory: `--tmpfs` and `--mount type=tmpfs`. */
export function tmpfsMounts(host: HostConfig): { destination: string; options: string[] }[] {
  const plain = Object.entries(host.Tmpfs ?? {}).map(([destination, text]) => {
    const options = text.split(',').filter(Boolean);
    for (const option of options)
      if (!TMPFS_OPTION.test(option))
        throw badParameter(
          `invalid tmpfs option ${JSON.stringify(option)} for ${destination}: size=64m, mode=1777, uid=, gid=, nr_inodes=, nr_blocks=, and mount flags such as ro, exec, suid are allowed`,
        );
    return {
      destination: posix.normalize(destination),
      options: ['noexec', 'nosuid', 'nodev', ...options],
    };
  });
  const mounts = (host.Mounts ?? [])
    .filter(({ Type }) => Type === 'tmpfs')
    .map(({ Target, TmpfsOptions, ReadOnly }) => ({
      destination: posix.normalize(Target),
      options: [
        'noexec',
        'nosuid',
        'nodev',
        ...(ReadOnly ? ['ro'] : []),
        ...(TmpfsOptions?.SizeBytes ? [`size=${TmpfsOptions.SizeBytes}`] : []),
        ...(TmpfsOptions?.Mode ? [`mode=${TmpfsOptions.Mode.toString(8)}`] : []),
      ],
    }));
  for (const { destination } of [...plain, ...mounts])
    if (!destination.startsWith('/'))
      throw badParameter(`invalid tmpfs mount: ${JSON.stringify(destination)}: the path must be absolute`);
  return [...plain, ...mounts];
}
