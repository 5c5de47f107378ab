import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import type { ExitResponse } from './task-api.ts';
import { shimProtos } from './task-api.ts';
import { GrpcError } from './grpc-errors.ts';
import { decode, encode, type Any } from './protobuf.ts';
import type { TaskBundle } from './task-bundle.ts';

/** What a shim program must be told about its caller. */
export interface ShimCaller {
  /** Our gRPC socket; `.ttrpc` after it is where shims publish events. */
  address: string;
  /** The program that a shim may call to publish an event, as `containerd publish`. */
  publishBinary: string;
  /** The folder of our own program, where shims are looked for first. */
  beside: string;
  debug: boolean;
}

/** Longer than a shim ever needs: after this it is stuck, and is ended. Milliseconds. */
const PATIENCE = 30_000;

/**
 * The shim program of a runtime: `io.containerd.runc.v2` is `containerd-shim-runc-v2`, beside our own program or along PATH; an
 * absolute path is itself.
 * Source: containerd, runtime/v2/README.md.
 * @throws GrpcError InvalidArgument (no such name can be), NotFound (no such program)
 */
export function findShim(runtime: string, beside: string): string {
  if (isAbsolute(runtime)) {
    if (isExecutable(runtime)) return runtime;
    throw new GrpcError('NotFound', `runtime ${JSON.stringify(runtime)}: no such program`);
  }
  const [name, version] = runtime.split('.').slice(-2);
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(runtime) || !name || !/^v\d+$/.test(version ?? ''))
    throw new GrpcError(
      'InvalidArgument',
      `invalid runtime name ${JSON.stringify(runtime)}: it is like io.containerd.runc.v2, or the absolute path of a shim`,
    );
  const program = `containerd-shim-${name}-${version}`;
  const directories = [beside, ...(process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute)];
  const found = directories.map((directory) => join(directory, program)).find(isExecutable);
  if (!found)
    throw new GrpcError(
      'NotFound',
      `runtime ${JSON.stringify(runtime)} binary not installed: no ${program} in ${directories.join(', ')}`,
    );
  return found;
}

//#region startShimProgram
/**
 * Calls the shim's `start` in the bundle and returns the address of the shim that it leaves behind.
 * @param options for the shim, on its standard input
 * @throws Error with what the shim said
 */
export async function startShimProgram(
  bundle: TaskBundle,
  caller: ShimCaller,
  options: Any | null,
): Promise<string> {
  const stdin = options ? encode(shimProtos().lookupType('google.protobuf.Any'), options) : Buffer.alloc(0);
  const output = (await runShim(bundle, caller, ['start'], stdin)).toString().trim();
  // Since containerd 1.7 a shim may say more than its address.
  const address = output.startsWith('{') ? (JSON.parse(output) as { address: string }).address : output;
  if (!address) throw new Error(`${bundle.shim} start: it printed no address`);
  return address;
}
//#endregion

/**
 * Calls the shim's `delete`: it ends by force whatever is left of the container, its shim being gone, and says how it ended.
 * @throws Error with what the shim said
 */
export async function deleteShimProgram(
  bundle: TaskBundle,
  caller: ShimCaller,
): Promise<ExitResponse & { pid: number }> {
  const output = await runShim(bundle, caller, ['-bundle', bundle.path, 'delete'], Buffer.alloc(0));
  return decode(shimProtos().lookupType('containerd.task.v2.DeleteResponse'), output);
}

function runShim(
  bundle: TaskBundle,
  { address, publishBinary, debug }: ShimCaller,
  rest: string[],
  stdin: Buffer,
): Promise<Buffer> {
  const args = ['-namespace', bundle.namespace, '-address', address, '-publish-binary', publishBinary];
  args.push('-id', bundle.id, ...(debug ? ['-debug'] : []), ...rest);
  return new Promise((resolve, reject) => {
    const child = spawn(bundle.shim, args, {
      cwd: bundle.path,
      env: {
        PATH: process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        HOME: process.env['HOME'] ?? '/root',
        TTRPC_ADDRESS: `${address}.ttrpc`,
        GRPC_ADDRESS: address,
        GOMAXPROCS: '2',
      },
      timeout: PATIENCE,
      killSignal: 'SIGKILL',
    });
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => undefined); // it may end without reading
    child.stdin.end(stdin);
    child.on('error', reject);
    child.on('close', (status, signal) => {
      if (status === 0) return resolve(Buffer.concat(stdout));
      const said = Buffer.concat([...stderr, ...stdout])
        .toString()
        .trim();
      reject(new Error(`${bundle.shim} ${rest.at(-1)}: ${said || `ended with ${signal ?? status}`}`));
    });
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
