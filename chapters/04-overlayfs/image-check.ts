import { parseDigest } from './digest.ts';
import { dataLoss, failedPrecondition, StoreError } from './errors.ts';
import type { ImageConfig, Index, Manifest } from './image.ts';

/** Docker's limit of layers is 127; a manifest that lists thousands is an attack. */
const MAX_LAYERS = 1000;
/** A configuration is JSON, and is read into memory. Bytes. */
const MAX_CONFIG = 8 << 20;

/**
 * A manifest whose parts can be asked for. What came from outside is looked at once, here, before anything relies on it.
 * @param name what the manifest is called in messages: its digest
 * @throws StoreError DATA_LOSS for what is no manifest, FAILED_PRECONDITION for one that is too large
 */
export function checkManifest(name: string, value: unknown): Manifest {
  check(name, 'image manifest', value, MANIFEST);
  const manifest = value as Manifest;
  if (manifest.layers.length > MAX_LAYERS)
    throw failedPrecondition(`${name} has ${manifest.layers.length} layers: at most ${MAX_LAYERS}`);
  if (manifest.config.size > MAX_CONFIG)
    throw failedPrecondition(
      `${name}: a configuration of ${manifest.config.size} bytes: at most ${MAX_CONFIG}`,
    );
  return manifest;
}

/** The same of an index. @throws StoreError DATA_LOSS */
export function checkIndex(name: string, value: unknown): Index {
  check(name, 'image index', value, object({ manifests: list(DESCRIPTOR) }, ['manifests']));
  return value as Index;
}

/** The same of a configuration. @throws StoreError DATA_LOSS, which says which property is what it must not be */
export function checkConfig(name: string, value: unknown): ImageConfig {
  check(name, 'image configuration', value, CONFIG);
  return value as ImageConfig;
}

/** Looks at a value, and throws what is wrong with it. `at` is where it stands: `rootfs.diff_ids[0]`. */
type Check = (value: unknown, at: string) => void;

function check(name: string, what: string, value: unknown, shape: Check): void {
  try {
    shape(value, '');
  } catch (error) {
    throw error instanceof StoreError ? dataLoss(`${name} is no ${what}: ${error.message}`, error) : error;
  }
}

function wrong(at: string, wanted: string, value: unknown): never {
  const shown = JSON.stringify(value) ?? 'nothing';
  throw dataLoss(
    `${at || 'it'} must be ${wanted}, and is ${shown.length > 80 ? `${shown.slice(0, 80)}…` : shown}`,
  );
}

const text: Check = (value, at) => typeof value === 'string' || wrong(at, 'a text', value);
const size: Check = (value, at) =>
  (Number.isSafeInteger(value) && (value as number) >= 0) || wrong(at, 'a number of bytes', value);
const number: Check = (value, at) => Number.isSafeInteger(value) || wrong(at, 'a whole number', value);
const anything: Check = (value, at) =>
  typeof value === 'object' ? undefined : wrong(at, 'an object', value);
const digest: Check = (value, at) => {
  text(value, at);
  try {
    parseDigest(value as string);
  } catch {
    wrong(at, 'sha256: and 64 hexadecimal digits', value);
  }
};

const list =
  (of: Check): Check =>
  (value, at) => {
    if (!Array.isArray(value)) wrong(at, 'a list', value);
    for (const [i, item] of (value as unknown[]).entries()) of(item, `${at}[${i}]`);
  };

const map =
  (of: Check): Check =>
  (value, at) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) wrong(at, 'an object', value);
    for (const [key, item] of Object.entries(value as object)) of(item, `${at}.${key}`);
  };

/** An object whose properties, where they are there and not null, are such; `required` ones must be there. */
const object =
  (properties: Record<string, Check>, required: readonly string[] = []): Check =>
  (value, at) => {
    map(() => undefined)(value, at);
    for (const [key, of] of Object.entries(properties)) {
      const item = Object.hasOwn(value as object, key) ? (value as Record<string, unknown>)[key] : undefined;
      if (item != null || required.includes(key)) of(item, at === '' ? key : `${at}.${key}`);
    }
  };

const PLATFORM = object({ os: text, architecture: text, variant: text });
const DESCRIPTOR = object(
  { mediaType: text, digest, size, annotations: map(text), platform: PLATFORM },
  ['digest', 'size'], // some old registries leave mediaType out
);
const MANIFEST = object({ config: DESCRIPTOR, layers: list(DESCRIPTOR), annotations: map(text) }, [
  'config',
  'layers',
]);

/** OCI image-spec, config.md, and what Docker adds. */
const DEFAULTS = object({
  User: text,
  Env: list(text),
  Cmd: list(text),
  Entrypoint: list(text),
  WorkingDir: text,
  ExposedPorts: map(anything),
  Volumes: map(anything),
  Labels: map(text),
  StopSignal: text,
  Healthcheck: object({
    Test: list(text),
    Interval: number,
    Timeout: number,
    StartPeriod: number,
    StartInterval: number,
    Retries: number,
  }),
  Shell: list(text),
  OnBuild: list(text),
});
const CONFIG = object(
  {
    os: text,
    architecture: text,
    variant: text,
    created: text,
    author: text,
    config: DEFAULTS,
    rootfs: object({ diff_ids: list(digest) }, ['diff_ids']),
    history: list(object({ created: text, created_by: text, comment: text })),
  },
  ['rootfs'],
);
