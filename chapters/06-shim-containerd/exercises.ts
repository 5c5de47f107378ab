import type { Exercise } from '../01-processes/index.ts';
import { framing } from './exercise-frames.ts';
import { handingOver } from './exercise-hand-over.ts';
import { outputs } from './exercise-output.ts';
import { reaping } from './exercise-reaper.ts';
import { recovery } from './exercise-recover.ts';

export const exercises: readonly Exercise[] = [reaping, handingOver, outputs, framing, recovery];
