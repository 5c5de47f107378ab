import { isAbsolute } from 'node:path';
import { runcOptions, type Input, type Container } from '../06-shim-containerd/index.ts';
import { badParameter } from './api-error.ts';

/** The engine's own shim. It runs myrunc, or whatever OCI runtime its options name. */
const SHIM = 'io.containerd.myrunc.v2';

/**
 * What containerd is told of a runtime: `myrunc` is the engine's own; `runc`, `crun` and paths are other OCI runtimes under the same shim;
 * `io.containerd.NAME.vN` is another shim altogether.
 * @throws ApiError 400 for a name that cannot be one
 */
export function runtimeOf(name: string): NonNullable<Input<Container>['runtime']> {
  if (name === 'myrunc') return { name: SHIM };
  if (/^io\.containerd\.[\w-]+\.v\d+$/.test(name)) return { name };
  if (isAbsolute(name) || /^[a-zA-Z0-9][\w.-]*$/.test(name))
    return { name: SHIM, options: runcOptions({ binaryName: name }) };
  throw badParameter(`unknown or invalid runtime name: ${name}`);
}
