import { loadBundle } from './bundle.ts';
import { createContainer } from './create.ts';
import { inheritedDescriptors } from './inherited-descriptors.ts';
import { protectRuntime } from './protect-runtime.ts';
import type { Run } from './verbs.ts';

/** `create`: ends once the container waits for `start`. */
export const run: Run = (context, options, [id]) => {
  createContainer(context, createOptions(options, id!));
};

/** The options that create and run share. What they name has been read, and this runtime is protected from it. */
export function createOptions(
  options: Parameters<Run>[1],
  id: string,
): Parameters<typeof createContainer>[1] {
  const bundle = loadBundle(options.bundle ?? '.');
  protectRuntime(bundle.spec);
  return {
    id,
    bundle,
    pidFile: options['pid-file'],
    pidfdSocket: options['pidfd-socket'],
    consoleSocket: options['console-socket'],
    noPivot: options['no-pivot'] ?? false,
    noNewKeyring: options['no-new-keyring'] ?? false,
    preserve: inheritedDescriptors(options['preserve-fds'] ?? 0),
  };
}
