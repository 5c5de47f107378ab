import { formatPstree } from './draw-tree.ts';
import { treesToDraw } from './tree-arguments.ts';

// `npx tsx chapters/01-processes/pstree.ts [PID]`: what `pstree -p` prints, from PID 1 or from the process that is told.
for (const root of treesToDraw(1)) console.log(formatPstree(root));
