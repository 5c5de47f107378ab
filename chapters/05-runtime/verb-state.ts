import { writeSync } from 'node:fs';
import { openContainer } from './container.ts';
import { ociState } from './state.ts';
import type { Run } from './verbs.ts';

/** `state`: the container's state as JSON. */
export const run: Run = (context, _options, [id]) => {
  const container = openContainer(context, id!);
  writeSync(1, `${JSON.stringify(ociState(container.state, container.status()), null, 2)}\n`);
};
