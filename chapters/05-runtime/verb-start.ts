import { startContainer } from './start.ts';
import type { Run } from './verbs.ts';

export const run: Run = (context, _options, [id]) => startContainer(context, id!);
