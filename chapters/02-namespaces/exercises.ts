import type { Exercise } from '../01-processes/index.ts';
import { connecting } from './exercise-connect.ts';
import { enteringRoot } from './exercise-enter-root.ts';
import { idMaps } from './exercise-id-maps.ts';
import { joining } from './exercise-join.ts';
import { whoReceives } from './exercise-receivers.ts';
import { rootless } from './exercise-rootless.ts';
import { withNetwork } from './exercise-with-network.ts';

export const exercises: readonly Exercise[] = [
  joining,
  idMaps,
  enteringRoot,
  withNetwork,
  connecting,
  whoReceives,
  rootless,
];
