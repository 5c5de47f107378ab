import type { Exercise } from '../01-processes/index.ts';
import { waiting } from './exercise-fifo.ts';
import { becoming } from './exercise-identity.ts';
import { masking } from './exercise-mask-path.ts';
import { entering } from './exercise-namespaces.ts';

export const exercises: readonly Exercise[] = [entering, masking, becoming, waiting];
