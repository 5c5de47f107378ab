import type { Exercise } from '../01-processes/index.ts';
import { percent } from './exercise-cpu-percent.ts';
import { devices } from './exercise-devices.ts';
import { folders } from './exercise-folders.ts';
import { killing } from './exercise-kill.ts';
import { layout } from './exercise-layout.ts';
import { limits } from './exercise-limits.ts';

export const exercises: readonly Exercise[] = [layout, folders, limits, devices, killing, percent];
