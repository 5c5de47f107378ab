import koffi from 'koffi';
import { declare } from '../01-processes/index.ts';

/** The number of bpf(2), which the C library does not wrap; it differs between processors. */
export const SYS_bpf = process.arch === 'arm64' ? 280 : 321;

// bpf(2): one call, whose first argument says what, and whose second is a union that the kernel takes by its size.
export const c_bpf = declare<(number: number, cmd: number, attr: Buffer, size: number) => number>(
  'long syscall(long number, int cmd, void *attr, unsigned int size)',
);

/**
 * Memory at an address that can be written into a structure for the kernel. The caller holds on to `memory` as long as the
 * kernel may look.
 */
export function memoryOf(bytes: Buffer): { memory: unknown; address: bigint } {
  const memory: unknown = koffi.alloc('uint8_t', bytes.length);
  koffi.encode(memory, 'uint8_t', [...bytes], bytes.length);
  return { memory, address: BigInt(koffi.address(memory)) };
}

/** The first `count` 32-bit words of such memory. */
export const readWords = (memory: unknown, count: number): number[] =>
  count === 0 ? [] : ([...koffi.decode(memory, 'uint32_t', count)] as number[]);
