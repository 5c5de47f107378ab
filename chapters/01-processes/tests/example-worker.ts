// A program for fork.test.ts: forks in a worker thread, and says why it could not.
import { isMainThread, Worker } from 'node:worker_threads';
import { fork } from '../index.ts';

if (isMainThread) new Worker(process.argv[1]!);
else
  try {
    fork(() => 0);
  } catch (error) {
    console.log((error as Error).message);
  }
