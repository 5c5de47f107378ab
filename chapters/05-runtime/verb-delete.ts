import { existsSync } from 'node:fs';
import { containerOf, destroy } from './container.ts';
import { checkId, loadState, removeState, stateDirectory } from './state.ts';
import type { Run } from './verbs.ts';

/** `delete`: what is left of a stopped container; with --force of any, also of one that was never finished. */
export const run: Run = (context, { force }, [id]) => {
  checkId(id!);
  let state;
  try {
    state = loadState(context.root, id!);
  } catch (error) {
    if (!force) throw error;
    if (existsSync(stateDirectory(context.root, id!))) removeState(context.root, id!);
    return;
  }
  const container = containerOf(context.root, state);
  const status = container.status();
  if (status !== 'stopped' && !force)
    throw new Error(`cannot delete container ${id} that is not stopped: ${status}`);
  destroy(context, container);
};
