import type { Exercise } from '../01-processes/index.ts';
import { chainIdentity } from './exercise-chain-ids.ts';
import { cacheKey } from './exercise-cache-key.ts';
import { changes } from './exercise-changes.ts';
import { commit } from './exercise-commit.ts';
import { challenges } from './exercise-challenges.ts';
import { confined } from './exercise-in-root.ts';
import { mounting } from './exercise-mounts.ts';
import { receiving } from './exercise-receive.ts';

export const exercises: readonly Exercise[] = [
  changes,
  commit,
  chainIdentity,
  mounting,
  confined,
  challenges,
  receiving,
  cacheKey,
];
