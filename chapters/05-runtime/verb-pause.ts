import { openContainer } from './container.ts';
import type { Run } from './verbs.ts';

/** `pause`: stops all of a container's processes by the freezer. */
export const run: Run = (context, _options, [id]) => {
  const { cgroup, status } = openContainer(context, id!);
  const now = status();
  if (now !== 'running' && now !== 'created') throw new Error(`container not running: it is ${now}`);
  cgroup.freeze();
};

/** `resume`: lets them go on. */
export const resume: Run = (context, _options, [id]) => {
  const { cgroup, status } = openContainer(context, id!);
  const now = status();
  if (now !== 'paused') throw new Error(`container not paused: it is ${now}`);
  cgroup.thaw();
};
