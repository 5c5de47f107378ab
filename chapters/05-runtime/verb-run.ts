import { runContainer } from './run.ts';
import { createOptions } from './verb-create.ts';
import type { Run } from './verbs.ts';

/** `run`: the exit status is that of the container's program, unless it is detached. */
export const run: Run = (context, options, [id]) =>
  runContainer(context, {
    ...createOptions(options, id!),
    detach: options.detach ?? false,
    keep: options.keep ?? false,
  });
