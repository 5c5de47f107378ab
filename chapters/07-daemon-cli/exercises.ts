import type { Exercise } from '../01-processes/index.ts';
import { demultiplexing } from './exercise-demultiplex.ts';
import { detaching } from './exercise-detach.ts';
import { framing } from './exercise-frame.ts';
import { stopping } from './exercise-stop.ts';
import { upgrading } from './exercise-upgrade-body.ts';

export const exercises: readonly Exercise[] = [framing, demultiplexing, upgrading, detaching, stopping];
