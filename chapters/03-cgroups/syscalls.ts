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

/** What the systemd driver calls in libsystemd, systemd's own D-Bus library. Each returns a negative errno when it fails. Source: sd-bus(3) */
export interface SdBus {
  new: (bus: [unknown]) => number;
  setAddress: (bus: unknown, address: string) => number;
  setBusClient: (bus: unknown, yes: number) => number;
  start: (bus: unknown) => number;
  /** Closes and frees. */
  close: (bus: unknown) => unknown;
  newCall: (
    bus: unknown,
    message: [unknown],
    destination: string | null,
    path: string,
    iface: string,
    member: string,
  ) => number;
  call: (bus: unknown, message: unknown, usec: bigint, error: BusError, reply: [unknown]) => number;
  /** Waits until there is something to read. */
  wait: (bus: unknown, usec: bigint) => number;
  /** Takes the next message that came; none: null. Returns 0 when there was nothing to do. */
  process: (bus: unknown, message: [unknown]) => number;
  unrefMessage: (message: unknown) => unknown;
  isSignal: (message: unknown, iface: string, member: string) => number;
  appendText: (message: unknown, type: number, text: string) => number;
  appendNumber: (message: unknown, type: number, value: Buffer) => number;
  openContainer: (message: unknown, type: number, contents: string) => number;
  closeContainer: (message: unknown) => number;
  readText: (message: unknown, type: number, text: [string]) => number;
  readNumber: (message: unknown, type: number, value: Buffer) => number;
  enterContainer: (message: unknown, type: number, contents: string) => number;
  exitContainer: (message: unknown) => number;
  /** The type of a variant's contents. */
  peekType: (message: unknown, type: Buffer, contents: [string]) => number;
}

/** struct sd_bus_error: what the other side answered when it refused. */
export interface BusError {
  name: string | null;
  message: string | null;
  _need_free: number;
}

let sdBus: SdBus | undefined;

/**
 * libsystemd, loaded when it is first asked for: whoever does not use the systemd driver does not wait for it.
 * @throws Error that names the package when it is not here
 */
export function loadSdBus(): SdBus {
  if (sdBus) return sdBus;
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load('libsystemd.so.0');
  } catch (cause) {
    throw new Error('the systemd driver needs libsystemd.so.0: install the package libsystemd0', { cause });
  }
  koffi.struct('sd_bus_error', { name: 'const char *', message: 'const char *', _need_free: 'int' });
  const f = <F>(prototype: string): F => library.func(prototype) as unknown as F;
  sdBus = {
    new: f('int sd_bus_new(_Out_ void **bus)'),
    setAddress: f('int sd_bus_set_address(void *bus, const char *address)'),
    setBusClient: f('int sd_bus_set_bus_client(void *bus, int b)'),
    start: f('int sd_bus_start(void *bus)'),
    close: f('void *sd_bus_flush_close_unref(void *bus)'),
    newCall: f(
      'int sd_bus_message_new_method_call(void *bus, _Out_ void **m, const char *destination, const char *path, const char *interface, const char *member)',
    ),
    call: f(
      'int sd_bus_call(void *bus, void *m, uint64_t usec, _Inout_ sd_bus_error *ret_error, _Out_ void **reply)',
    ),
    wait: f('int sd_bus_wait(void *bus, uint64_t timeout_usec)'),
    process: f('int sd_bus_process(void *bus, _Out_ void **ret)'),
    unrefMessage: f('void *sd_bus_message_unref(void *m)'),
    isSignal: f('int sd_bus_message_is_signal(void *m, const char *interface, const char *member)'),
    appendText: f('int sd_bus_message_append_basic(void *m, char type, const char *p)'),
    appendNumber: f('int sd_bus_message_append_basic(void *m, char type, const uint8_t *p)'),
    openContainer: f('int sd_bus_message_open_container(void *m, char type, const char *contents)'),
    closeContainer: f('int sd_bus_message_close_container(void *m)'),
    readText: f('int sd_bus_message_read_basic(void *m, char type, _Out_ const char **p)'),
    readNumber: f('int sd_bus_message_read_basic(void *m, char type, _Out_ uint8_t *p)'),
    enterContainer: f('int sd_bus_message_enter_container(void *m, char type, const char *contents)'),
    exitContainer: f('int sd_bus_message_exit_container(void *m)'),
    peekType: f('int sd_bus_message_peek_type(void *m, _Out_ uint8_t *type, _Out_ const char **contents)'),
  };
  return sdBus;
}
