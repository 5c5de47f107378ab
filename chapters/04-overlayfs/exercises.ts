import type { Exercise } from '../01-processes/index.ts';
import { chainIdentity } from './exercise-chain-ids.ts';
import { changes } from './exercise-changes.ts';
import { commit } from './exercise-commit.ts';
import { confined } from './exercise-in-root.ts';
import { mounting } from './exercise-mounts.ts';

export const exercises: readonly Exercise[] = [changes, commit, chainIdentity, mounting, confined];
