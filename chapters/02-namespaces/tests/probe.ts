export {
  answer,
  ask as inChild,
  collect,
  emptyFolder as temporaryDirectory,
  parked,
} from '../demo-support.ts';

if (process.getuid!() !== 0) throw new Error('these tests need root: type `sudo npm test`');

/** A short random name: `ch02-k3x9a1`. */
export const randomName = (prefix = 'ch02'): string =>
  `${prefix}-${Math.random().toString(36).slice(2, 8).padEnd(6, '0')}`;
