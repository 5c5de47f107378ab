import { isAbsolute, join } from 'node:path';
import { parseArgs } from 'node:util';
import { endpoints } from '../04-overlayfs/index.ts';
import { checkInterfaceName, parseCidr } from '../02-namespaces/index.ts';
import { isStorageDriver, STORAGE_DRIVERS, type StorageDriver } from './storage-driver.ts';

/** Where a daemon keeps its things, and what it is told. */
export interface DaemonOptions {
  /** What outlives a restart of the machine: images, containers, logs, volumes. */
  dataRoot: string;
  /** Sockets and what else ends with the machine. */
  execRoot: string;
  /** The socket's path. */
  socket: string;
  pidfile: string;
  /** The containerd to use; undefined: an own mycontainerd. */
  containerd: string | undefined;
  defaultRuntime: string;
  /** How layers are kept; undefined: as before, at first overlay2. */
  storageDriver: StorageDriver | undefined;
  bridge: string;
  /** The host's address in the bridge's network; undefined: one that is free. */
  bip: string | undefined;
  /** Whether the firewall is ours to write to. Without it the bridge reaches the host and its other containers, and no further. */
  iptables: boolean;
  /** Addresses that are asked for Docker Hub's images first. */
  registryMirrors: string[];
  /** Registries, and networks of them, that may go without TLS. */
  insecureRegistries: string[];
  /** Certificates of registries, a folder each. */
  certsDir: string;
  debug: boolean;
}

export const USAGE = `usage: mydockerd [OPTIONS]
  --data-root DIR          images, containers, logs, volumes (/var/lib/mydocker)
  --exec-root DIR          sockets and run state (/run/mydocker)
  -H, --host unix://PATH   the socket to listen on (EXEC-ROOT/mydocker.sock)
  --pidfile PATH           (EXEC-ROOT/mydocker.pid)
  --containerd ADDRESS     use this containerd; else one of its own is started
  --default-runtime NAME   myrunc, runc, crun, or io.containerd.NAME.vN (myrunc)
  -s, --storage-driver NAME  overlay2, vfs, or btrfs where the data root is on one (overlay2)
  --bridge NAME            (mydocker0)
  --bip CIDR               the bridge's address (172.28.0.1/16, or the next that is free)
  --iptables=false         leave the firewall alone: no way from the bridge to the world
  --registry-mirror URL    where Docker Hub's images are asked for first; may be given again
  --insecure-registry HOST a registry, or a network of them, that may go without TLS; may be given again
  --certs-dir DIR          certificates that are trusted: DIR/HOST:PORT/*.crt (/etc/docker/certs.d)
  --debug                  say more, with stack traces
`;

/** What the environment of this process says to a daemon that it starts: `MYDOCKER_IPTABLES=false` on a machine whose firewall is of no use. */
export const daemonEnvironment = (
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => name.startsWith('MYDOCKER_')));

/** What is wrong with a command line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Reads mydockerd's command line and environment.
 * @throws UsageError that says what is wrong, and what is allowed
 */
export function parseDaemonOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): DaemonOptions | 'help' {
  const text = { type: 'string' } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        'data-root': text,
        'exec-root': text,
        host: { ...text, short: 'H' },
        pidfile: { ...text, short: 'p' },
        containerd: text,
        'default-runtime': text,
        'storage-driver': { ...text, short: 's' },
        bridge: { ...text, short: 'b' },
        bip: text,
        iptables: text,
        'registry-mirror': { ...text, multiple: true },
        'insecure-registry': { ...text, multiple: true },
        'certs-dir': text,
        debug: { type: 'boolean', short: 'D' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0]!);
  }
  if (values.help) return 'help';
  const directory = (name: string, value: string): string => {
    if (!isAbsolute(value)) throw new UsageError(`--${name} ${JSON.stringify(value)}: give an absolute path`);
    return join(value);
  };
  const dataRoot = directory(
    'data-root',
    values['data-root'] ?? environment['MYDOCKER_DATA_ROOT'] ?? '/var/lib/mydocker',
  );
  const execRoot = directory(
    'exec-root',
    values['exec-root'] ?? environment['MYDOCKER_EXEC_ROOT'] ?? '/run/mydocker',
  );
  const host = values.host ?? `unix://${join(execRoot, 'mydocker.sock')}`;
  const socket = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (!socket) throw new UsageError(`--host ${JSON.stringify(host)}: give unix:///absolute/path`);
  // sun_path has 108 bytes, the last of them zero. unix(7)
  if (Buffer.byteLength(socket) > 107)
    throw new UsageError(`--host ${host}: the path of a socket has at most 107 bytes`);
  const iptables = values.iptables ?? environment['MYDOCKER_IPTABLES'] ?? 'true';
  if (iptables !== 'true' && iptables !== 'false')
    throw new UsageError(`--iptables ${JSON.stringify(iptables)}: give true or false`);
  const storageDriver = values['storage-driver'];
  if (storageDriver !== undefined && !isStorageDriver(storageDriver))
    throw new UsageError(
      `--storage-driver ${JSON.stringify(storageDriver)}: give ${Object.keys(STORAGE_DRIVERS).join(', ')}`,
    );
  const bridge = values.bridge ?? 'mydocker0';
  try {
    checkInterfaceName(bridge);
    if (values.bip !== undefined) parseCidr(values.bip);
  } catch (error) {
    throw new UsageError(
      `--${/interface/.test((error as Error).message) ? 'bridge' : 'bip'}: ${(error as Error).message}`,
    );
  }
  const [registryMirrors, insecureRegistries] = [
    values['registry-mirror'] ?? [],
    values['insecure-registry'] ?? [],
  ];
  try {
    endpoints('docker.io', { mirrors: registryMirrors, insecure: insecureRegistries });
  } catch (error) {
    throw new UsageError(`--registry-mirror: ${(error as Error).message}`);
  }
  return {
    dataRoot,
    execRoot,
    socket,
    pidfile: values.pidfile ?? join(execRoot, 'mydocker.pid'),
    containerd: values.containerd,
    defaultRuntime: values['default-runtime'] ?? 'myrunc',
    storageDriver,
    bridge,
    bip: values.bip,
    iptables: iptables === 'true',
    registryMirrors,
    insecureRegistries,
    certsDir: directory('certs-dir', values['certs-dir'] ?? '/etc/docker/certs.d'),
    debug: values.debug ?? false,
  };
}
