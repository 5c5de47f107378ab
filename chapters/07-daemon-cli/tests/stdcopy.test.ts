import { expect, test } from 'vitest';
import { frame } from '../stdcopy.ts';

test('a frame is Docker’s header and the data, byte for byte', () => {
  expect(frame(1, Buffer.from('hi\n'))).toEqual(Buffer.from([1, 0, 0, 0, 0, 0, 0, 3, 0x68, 0x69, 0x0a]));
  expect(frame(2, Buffer.alloc(0x1_02_03)).subarray(0, 8)).toEqual(Buffer.from([2, 0, 0, 0, 0, 1, 2, 3]));
  expect(frame(1, Buffer.alloc(0))).toEqual(Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]));
});
