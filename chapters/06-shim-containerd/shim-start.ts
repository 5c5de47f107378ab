import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, renameSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { stateDirectory, writeWhole } from './bundle.ts';
import type { ShimArguments } from './shim-arguments.ts';

/** Longest path of a unix socket: sun_path has 108 bytes, the last a zero. unix(7) */
const MAX_SOCKET_PATH = 107;

/**
 * `start`: leaves a daemon behind that serves this container, and returns the address of its socket. Precondition: the working directory is the
 * bundle. When a shim for this container runs already, its address is returned.
 *
 * The socket is made here and handed to the daemon as descriptor 3. So it takes connections from the moment its address is
 * known: they wait in the socket's queue until the daemon is up. That is how `start` can be over at once.
 */
export async function startShim({
  namespace,
  id,
  address,
  publishBinary,
  debug,
}: ShimArguments): Promise<string> {
  const bundle = process.cwd();
  const path = socketPath(bundle, address, namespace, id);
  const url = `unix://${path}`;
  if (await answers(path)) {
    writeWhole('address', url);
    return url;
  }

  //#gap 06.2 handOver
  const listener = await listen(path);
  writeWhole('address', url);
  const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary];
  flags.push('-socket', path);
  if (debug) flags.push('-debug');
  const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
    // Its own session: no terminal's Ctrl-C and no end of a login reaches it.
    detached: true,
    // containerd reads our output until every holder has closed it: the daemon must hold none of it.
    stdio: ['ignore', 'ignore', 'ignore', listener],
    env: environment(),
  });
  daemon.unref();
  return url;
  //#end
}

/** One thread, a small heap: there is one shim a container, and it mostly sleeps. */
export const NODE_FLAGS = ['--single-threaded', '--max-semi-space-size=1', '--max-old-space-size=64'];

function environment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TTRPC_ADDRESS', 'GRPC_ADDRESS'];
  return Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** The customary place: a hash, because ids and namespaces are too long for a socket's path. */
function socketPath(bundle: string, address: string, namespace: string, id: string): string {
  const name = createHash('sha256')
    .update(join(address, namespace, id))
    .digest('hex');
  const own = join(stateDirectory(bundle), 's', name);
  return Buffer.byteLength(own) <= MAX_SOCKET_PATH ? own : join('/run/containerd/s', name);
}

/**
 * A listening socket's descriptor. It is bound under another name and renamed, which replaces a dead shim's socket in one step, and
 * keeps Node from removing it: at exit Node removes the name that it bound.
 */
async function listen(path: string): Promise<number> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const server = createServer();
  const temporary = `${path.slice(0, -8)}.${process.pid}`;
  const before = process.umask(0o077);
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(temporary, resolve));
  } finally {
    process.umask(before);
  }
  renameSync(temporary, path);
  return (server as unknown as { _handle: { fd: number } })._handle.fd;
}

/** Whether someone listens on a socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
}
