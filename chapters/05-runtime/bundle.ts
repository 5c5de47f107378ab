import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { isBind, isIdMapped } from './bind-sources.ts';
import { ConfigError } from './config-checks.ts';
import { parseMountOptions } from '../02-namespaces/index.ts';
import type { NamespaceType, OciMount, OciProcess, OciSpec } from './spec.ts';
import { validateProcess, validateSpec } from './validate.ts';

/** A bundle: a directory with config.json, and the root file system that it names. Source: runtime-spec, bundle.md. */
export interface Bundle {
  /** Absolute. */
  dir: string;
  /** Absolute, symbolic links resolved. */
  rootfs: string;
  spec: OciSpec;
}

/** Nobody writes a larger one by hand or by program; what is larger is an accident or an attack. */
const MAX_CONFIG_BYTES = 16 * 2 ** 20;

/**
 * Reads and checks a bundle. Nothing is made.
 * @throws ConfigError naming the property or file that is wrong
 */
export function loadBundle(directory: string): Bundle {
  const dir = resolve(directory);
  const spec = readJson(join(dir, 'config.json'));
  validateSpec(spec);
  if (!spec.process) throw new ConfigError('process: expected an object, it is missing');
  const path = resolve(dir, spec.root!.path);
  let rootfs: string;
  try {
    rootfs = realpathSync(path);
    if (!statSync(rootfs).isDirectory()) throw new ConfigError(`root.path: ${path} is no directory`);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
    throw new ConfigError(`root.path: no such directory: ${path}`, { cause: undefined });
  }
  checkTogether(spec, rootfs);
  return { dir, rootfs, spec };
}

/** Reads the file given to `exec --process`; it may be a pipe, as a shell's `<(…)` is. @throws ConfigError */
export function loadProcess(path: string): OciProcess {
  const value = readJson(path, true);
  validateProcess(value);
  return value;
}

/** Reads JSON; what is null counts as missing, as Go's decoder has it, which wrote most config.json there are. */
function readJson(path: string, pipes = false): unknown {
  let text: string;
  try {
    const stat = statSync(path);
    if (!stat.isFile() && !(pipes && stat.isFIFO())) throw new ConfigError(`${path} is no file`); // a fifo would be waited for
    const { size } = stat;
    if (size > MAX_CONFIG_BYTES)
      throw new ConfigError(`${path}: ${size} bytes; at most ${MAX_CONFIG_BYTES} are allowed`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    throw new ConfigError(`no such file: ${path}`, { cause: error });
  }
  try {
    return JSON.parse(text, withoutNull);
  } catch (error) {
    throw new ConfigError(`${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

/** In a list null stays, and is refused there: taken out it would leave a hole. */
function withoutNull(this: unknown, key: string, value: unknown): unknown {
  return value === null && key !== '' && !Array.isArray(this) ? undefined : value;
}

/** What each property alone allows, and two together do not. */
function checkTogether(spec: OciSpec, rootfs: string): void {
  const kinds = new Map(spec.linux?.namespaces?.map(({ type, path }) => [type, path] as const));
  const needs = (property: string, value: unknown, kind: NamespaceType): void => {
    if (value !== undefined && value !== '' && !kinds.has(kind))
      throw new ConfigError(
        `${property}: needs a namespace of its own: put {"type": "${kind}"} into linux.namespaces`,
      );
  };
  needs('hostname', spec.hostname, 'uts');
  needs('domainname', spec.domainname, 'uts');
  needs('linux.uidMappings', spec.linux?.uidMappings, 'user');
  needs('linux.gidMappings', spec.linux?.gidMappings, 'user');
  if (Object.keys(spec.linux?.timeOffsets ?? {}).length > 0 && (!kinds.has('time') || kinds.get('time')))
    throw new ConfigError(
      'linux.timeOffsets: needs a new time namespace: put {"type": "time"} into linux.namespaces',
    );
  if (!kinds.has('mount')) checkSharedMounts(spec);
  if (kinds.has('user') && !kinds.get('user') && !spec.linux?.uidMappings?.length)
    throw new ConfigError('linux.uidMappings: a new user namespace needs them, and they are missing');
  if (kinds.has('user') && !kinds.get('user') && !spec.linux?.gidMappings?.length)
    throw new ConfigError('linux.gidMappings: a new user namespace needs them, and they are missing');
  if (process.geteuid!() !== 0 && !kinds.has('user'))
    throw new ConfigError(
      'linux.namespaces: rootless container requires user namespaces: `myrunc spec --rootless` writes such a config.json',
    );
  if (rootfs === '/')
    throw new ConfigError("root.path: the root of this machine cannot be a container's root");
  spec.mounts?.forEach((mount, i) => {
    const { flags, runtime } = parseMountOptions(mount.options ?? []);
    const where = `mounts[${i}] (${mount.destination})`;
    if ((mount.type === 'bind' || flags & 4096) && !mount.source)
      throw new ConfigError(`${where}: a bind mount needs a source`);
    if (!(mount.type === 'bind' || flags & 4096) && !mount.type && !(flags & 32))
      throw new ConfigError(`${where}: type is missing`);
    const odd = runtime.find((option) => !DONE_OPTIONS.includes(option));
    if (odd) throw new ConfigError(`${where}: ${odd}: this runtime does not do that yet; take it out`);
    checkIdMapping(mount, where, spec);
  });
}

/** What would change the machine's own mounts. @throws ConfigError */
function checkSharedMounts({ root, linux = {} }: OciSpec): void {
  if (linux.maskedPaths?.length || linux.readonlyPaths?.length)
    throw new ConfigError('linux: unable to restrict sys entries without a private MNT namespace');
  if (root!.readonly) throw new ConfigError('root.readonly: not without a mount namespace of its own');
  if (linux.rootfsPropagation)
    throw new ConfigError('linux.rootfsPropagation: not without a mount namespace of its own');
}

const DONE_OPTIONS: readonly string[] = ['tmpcopyup', 'idmap', 'ridmap'];

/** @throws ConfigError for a mount that is to be id-mapped and can't be: no bind mount, or no maps */
function checkIdMapping(mount: OciMount, where: string, { linux }: OciSpec): void {
  if (!isIdMapped(mount)) return;
  if (!isBind(mount)) throw new ConfigError(`${where}: only bind mounts can be id-mapped`);
  const { uidMappings, gidMappings } = mount;
  if (!!uidMappings?.length !== !!gidMappings?.length)
    throw new ConfigError(`${where}: uidMappings and gidMappings go together`);
  if (!uidMappings?.length && !linux?.namespaces?.some(({ type }) => type === 'user'))
    throw new ConfigError(
      `${where}: idmap without uidMappings takes the maps of the container, which has none`,
    );
}
