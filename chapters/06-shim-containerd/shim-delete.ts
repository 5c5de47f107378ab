import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SIGNALS } from '../01-processes/index.ts';
import { unmountAll } from '../04-overlayfs/index.ts';
import { readShimState } from './bundle.ts';
import { ociRuntime } from './oci-runtime.ts';
import { encode, toTimestamp } from './protobuf.ts';
import type { ShimArguments } from './shim-arguments.ts';
import { shimProtos } from './task-api.ts';

/**
 * `delete`: cleans up after a shim that is gone, by force, and returns the bytes of a DeleteResponse. containerd calls it whenever the connection to a
 * shim ends, also after an orderly Shutdown: so nothing to do is no error. Precondition: the shim does not run.
 */
export async function deleteShim({ id, bundle }: ShimArguments): Promise<Buffer> {
  const state = readShimState(bundle);
  // The runtime kills what still runs, and removes the cgroup.
  if (state)
    await ociRuntime({ ...state, bundle })
      .delete(id, { force: true })
      .catch(ignoreMissing);
  unmountAll(join(bundle, 'rootfs'));
  const address = readIfThere(join(bundle, 'address'));
  if (address) rmSync(address.replace('unix://', ''), { force: true });
  return encode(shimProtos().lookupType('containerd.task.v2.DeleteResponse'), {
    pid: Number(readIfThere(join(bundle, 'init.pid')) ?? 0),
    exitStatus: 128 + SIGNALS['SIGKILL']!,
    exitedAt: toTimestamp(new Date()),
  });
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Error && /does not exist|not found/.test(error.message))) throw error;
}

const readIfThere = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
