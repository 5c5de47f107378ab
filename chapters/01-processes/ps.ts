import { formatPsTree } from './draw-tree.ts';
import { treesToDraw } from './tree-arguments.ts';

// `npx tsx chapters/01-processes/ps.ts [PID]`: what `ps axjf` prints, made from /proc alone; of one process and those below it, if told.
console.log(formatPsTree(treesToDraw()));
