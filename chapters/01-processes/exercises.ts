import type { Exercise } from './exercise.ts';
import { afterExecution } from './exercise-after-exec.ts';
import { capabilities } from './exercise-capabilities.ts';
import { forking } from './exercise-fork.ts';
import { opening } from './exercise-open-pty.ts';
import { parsing } from './exercise-parse-stat.ts';

export const exercises: readonly Exercise[] = [parsing, forking, capabilities, opening, afterExecution];
