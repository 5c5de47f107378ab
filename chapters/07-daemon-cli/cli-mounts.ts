/** What `-v`, `--mount` and `--tmpfs` say, from text. Each throws a RangeError that says what is allowed. */
import { resolve } from 'node:path';
import { parseBytes, parseInteger, splitFields } from './cli-values.ts';

/** Words after the second colon of `-v`. */
const MODES = new Set([
  'ro', 'rw', 'z', 'Z', 'nocopy', 'cached', 'delegated', 'consistent',
  'shared', 'rshared', 'slave', 'rslave', 'private', 'rprivate',
]); // prettier-ignore

/** `-v`: either a path of the host or the name of a volume, bound to a path in the container; or a path alone, with a volume without a name. */
export type Volume = { bind: string } | { anonymous: string };

/** `SOURCE:TARGET[:MODES]`, or `TARGET`. A source that begins with a dot is a path from here, made absolute as the daemon lives elsewhere. */
export function parseVolume(text: string): Volume {
  const allowed =
    'give /path/on/host:/path/in/container[:ro], name:/path/in/container[:ro], or /path/in/container';
  const fields = text.split(':');
  if (fields.length > 3) throw new RangeError(`invalid volume specification: ${allowed}`);
  const [source = '', target, modes] = fields;
  if (target === undefined) {
    if (!source.startsWith('/'))
      throw new RangeError(`the path in the container must be absolute: ${allowed}`);
    return { anonymous: source };
  }
  if (!target.startsWith('/')) throw new RangeError(`the path in the container must be absolute: ${allowed}`);
  if (target.replace(/\/+/g, '/') === '/') throw new RangeError("the path in the container can't be '/'");
  for (const mode of modes?.split(',') ?? [])
    if (!MODES.has(mode)) throw new RangeError(`invalid mode ${JSON.stringify(mode)}: give ro or rw`);
  const isPath = source.startsWith('/') || source.startsWith('.') || source.startsWith('~');
  if (!isPath && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(source))
    throw new RangeError(
      `${JSON.stringify(source)} is neither an absolute path nor the name of a volume: ${allowed}`,
    );
  return { bind: [source.startsWith('.') ? resolve(source) : source, ...fields.slice(1)].join(':') };
}

/** `--tmpfs /path[:options]`. */
export function parseTmpfs(text: string): [path: string, options: string] {
  const at = text.indexOf(':');
  const path = at < 0 ? text : text.slice(0, at);
  if (!path.startsWith('/'))
    throw new RangeError(`mount path must be absolute: give /path or /path:size=64m`);
  return [path, at < 0 ? '' : text.slice(at + 1)];
}

/** One entry of HostConfig.Mounts. */
export interface MountBody {
  Type: string;
  Source?: string;
  Target?: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: { Propagation?: string };
  VolumeOptions?: { NoCopy?: boolean; Labels?: Record<string, string>; DriverConfig: object };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
}

/** `--mount type=bind,source=/a,target=/b,readonly`. */
export function parseMount(text: string): MountBody {
  const fields = new Map<string, string>();
  for (const field of splitFields(text)) {
    const at = field.indexOf('=');
    const key = (at < 0 ? field : field.slice(0, at)).trim().toLowerCase();
    const flag = key === 'readonly' || key === 'ro' || key === 'volume-nocopy';
    if (at < 0 && !flag) throw new RangeError(`invalid field '${field}' must be a key=value pair`);
    const name = MOUNT_KEYS[key];
    if (!name)
      throw new RangeError(
        `unexpected key '${key}' in '${field}': give ${Object.keys(MOUNT_KEYS).join(', ')}`,
      );
    fields.set(name, at < 0 ? 'true' : field.slice(at + 1));
  }
  const type = fields.get('type') ?? 'volume';
  if (!['bind', 'volume', 'tmpfs'].includes(type))
    throw new RangeError(`mount type ${JSON.stringify(type)} unknown: give bind, volume or tmpfs`);
  const target = fields.get('target');
  if (!target) throw new RangeError('target is required');
  if (!target.startsWith('/'))
    throw new RangeError(`invalid mount path: '${target}': mount path must be absolute`);
  const source = fields.get('source');
  if (type === 'bind' && !source) throw new RangeError('type=bind needs source=/path/on/host');
  const mount: MountBody = { Type: type };
  if (source) mount.Source = type === 'bind' && source.startsWith('.') ? resolve(source) : source;
  mount.Target = target;
  if (isTrue(fields.get('readonly'))) mount.ReadOnly = true;
  if (fields.has('consistency')) mount.Consistency = fields.get('consistency')!;
  if (fields.has('bind-propagation')) mount.BindOptions = { Propagation: fields.get('bind-propagation')! };
  if (isTrue(fields.get('volume-nocopy'))) mount.VolumeOptions = { NoCopy: true, DriverConfig: {} };
  const size = fields.get('tmpfs-size');
  const mode = fields.get('tmpfs-mode');
  if (size !== undefined || mode !== undefined)
    mount.TmpfsOptions = {
      ...(size !== undefined && { SizeBytes: parseBytes(size) }),
      ...(mode !== undefined && { Mode: parseOctal(mode) }),
    };
  return mount;
}

const MOUNT_KEYS: Readonly<Record<string, string>> = {
  type: 'type',
  source: 'source',
  src: 'source',
  target: 'target',
  dst: 'target',
  destination: 'target',
  readonly: 'readonly',
  ro: 'readonly',
  consistency: 'consistency',
  'bind-propagation': 'bind-propagation',
  'volume-nocopy': 'volume-nocopy',
  'tmpfs-size': 'tmpfs-size',
  'tmpfs-mode': 'tmpfs-mode',
};

const isTrue = (text: string | undefined): boolean => text !== undefined && text !== 'false' && text !== '0';

function parseOctal(text: string): number {
  if (!/^[0-7]+$/.test(text))
    throw new RangeError(`invalid tmpfs-mode ${JSON.stringify(text)}: give it in octal, such as 1777`);
  return parseInteger(0, 0o7777)(String(parseInt(text, 8)));
}
