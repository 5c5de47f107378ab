import type { Run } from './verbs.ts';

/** Both would take CRIU, a program that freezes processes to files: this runtime does not speak with it. */
const refuse =
  (verb: string): Run =>
  () => {
    throw new Error(`${verb} is not supported: this runtime does not work with CRIU`);
  };

export const checkpoint = refuse('checkpoint');
export const restore = refuse('restore');
