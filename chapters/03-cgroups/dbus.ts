import { SyscallError } from '../01-processes/index.ts';
import { loadSdBus, type BusError } from './syscalls.ts';

/** A value on the bus, whose signature says how it is written: numbers of 64 bits are bigints, arrays and structures are arrays. */
export type Value = string | number | bigint | boolean | readonly Value[] | Variant;

/** A value that carries its own signature. */
export interface Variant {
  signature: string;
  value: Value;
}

/** Whom to call, and what. */
export interface Method {
  /** The other side's name on the bus; none on a direct connection. */
  destination?: string;
  path: string;
  interface: string;
  member: string;
}

/** An open connection. It belongs to the process that opened it: a forked child opens its own. */
export interface Bus {
  /**
   * Calls a method and waits for its answer, at most 25 seconds.
   * @param signature of the arguments
   * @returns the answer, as `returns` says
   * @throws BusCallError when the other side refuses; SyscallError when the connection breaks
   */
  call(method: Method, signature: string, args: readonly Value[], returns?: string): Value[];
  /** The next signal of that name that comes, in so many milliseconds, with its arguments; `undefined` when none does. */
  signal(iface: string, member: string, signature: string, milliseconds: number): Value[] | undefined;
  close(): void;
}

/** What the other side answered: a name such as `org.freedesktop.systemd1.UnitExists`, and a sentence. */
export class BusCallError extends Error {
  readonly busName: string;
  constructor(method: Method, { name, message }: BusError) {
    super(`${method.interface}.${method.member}: ${message ?? 'no reason given'} (${name})`);
    this.name = 'BusCallError';
    this.busName = name ?? '';
  }
}

/**
 * Connects to a D-Bus address, such as `unix:path=/run/systemd/private`.
 * @param daemon whether a bus daemon listens there, which passes messages on by name; else it is the other side itself
 * Source: sd-bus(3), which crun uses for the same; https://dbus.freedesktop.org/doc/dbus-specification.html
 */
export function openBus(address: string, daemon: boolean): Bus {
  const lib = loadSdBus();
  const ok = (call: string, result: number): number => {
    if (result < 0) throw new SyscallError(`sd_bus_${call}`, -result, JSON.stringify(address));
    return result;
  };
  const box: [unknown] = [null];
  ok('new', lib.new(box));
  const [bus] = box;
  try {
    ok('set_address', lib.setAddress(bus, address));
    ok('set_bus_client', lib.setBusClient(bus, daemon ? 1 : 0));
    ok('start', lib.start(bus));
  } catch (error) {
    lib.close(bus);
    throw error;
  }
  return {
    call(method, signature, args, returns = '') {
      const message: [unknown] = [null];
      const { destination = null, path, interface: iface, member } = method;
      ok('message_new_method_call', lib.newCall(bus, message, destination, path, iface, member));
      try {
        append(message[0], signature, args);
        const error: BusError = { name: null, message: null, _need_free: 0 };
        const reply: [unknown] = [null];
        const status = lib.call(bus, message[0], 0n, error, reply);
        if (status < 0 && error.name) throw new BusCallError(method, error);
        ok(`call ${member}`, status);
        try {
          return read(reply[0], returns);
        } finally {
          lib.unrefMessage(reply[0]);
        }
      } finally {
        lib.unrefMessage(message[0]);
      }
    },
    signal(iface, member, signature, milliseconds) {
      const end = performance.now() + milliseconds;
      for (;;) {
        const message: [unknown] = [null];
        const busy = ok('process', lib.process(bus, message)) > 0;
        if (message[0])
          try {
            if (lib.isSignal(message[0], iface, member) > 0) return read(message[0], signature);
          } finally {
            lib.unrefMessage(message[0]);
          }
        const left = end - performance.now();
        if (left <= 0) return undefined;
        if (!busy) ok('wait', lib.wait(bus, BigInt(Math.ceil(left * 1000))));
      }
    },
    close: () => void lib.close(bus),
  };
}

/** The types in a signature, one by one: `sa(sv)u` is `s`, `a(sv)`, `u`. */
export function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length;) {
    const start = at;
    while (signature[at] === 'a') at++;
    let depth = 0;
    do {
      if ('({'.includes(signature[at]!)) depth++;
      if (')}'.includes(signature[at]!)) depth--;
      at++;
    } while (depth > 0);
    types.push(signature.slice(start, at));
  }
  return types;
}

/** How many bytes a number takes, by its type; a boolean takes four. */
const NUMBERS: Readonly<Record<string, number>> = { y: 1, b: 4, i: 4, u: 4, x: 8, t: 8 };
const code = (letter: string): number => letter.charCodeAt(0);
const done = (call: string, result: number): number => {
  if (result < 0) throw new SyscallError(`sd_bus_message_${call}`, -result);
  return result;
};

/** Writes values into a message, as their signature says. */
export function append(message: unknown, signature: string, values: readonly Value[]): void {
  const lib = loadSdBus();
  const inside = (type: string, contents: string, items: readonly Value[], each: string): void => {
    done('open_container', lib.openContainer(message, code(type), contents));
    append(message, each, items);
    done('close_container', lib.closeContainer(message));
  };
  typesOf(signature).forEach((type, i) => {
    const value = values[i]!;
    const contents = type.slice(1, type.startsWith('a') ? undefined : -1);
    if (type === 'v') {
      const variant = value as Variant;
      inside('v', variant.signature, [variant.value], variant.signature);
    } else if (type.startsWith('a')) {
      const items = value as readonly Value[];
      inside('a', contents, items, contents.repeat(items.length));
    } else if (type.startsWith('(')) inside('r', contents, value as readonly Value[], contents);
    else if (type in NUMBERS) {
      const bytes = Buffer.alloc(8); // little-endian, as all machines that this runs on
      bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value as number | bigint | boolean)));
      done('append_basic', lib.appendNumber(message, code(type), bytes));
    } else done('append_basic', lib.appendText(message, code(type), value as string));
  });
}

/** Reads what a message says, as its signature says. */
export function read(message: unknown, signature: string): Value[] {
  const lib = loadSdBus();
  const inside = <T>(type: string, contents: string, body: () => T): T => {
    done('enter_container', lib.enterContainer(message, code(type), contents));
    const result = body();
    done('exit_container', lib.exitContainer(message));
    return result;
  };
  return typesOf(signature).map((type): Value => {
    const contents = type.slice(1, type.startsWith('a') ? undefined : -1);
    if (type === 'v') {
      const kind: [string] = [''];
      done('peek_type', lib.peekType(message, Buffer.alloc(1), kind));
      return inside('v', kind[0], () => ({ signature: kind[0], value: read(message, kind[0])[0]! }));
    }
    if (type.startsWith('a'))
      return inside('a', contents, () => {
        const items: Value[] = [];
        for (let item = next(message, contents); item !== undefined; item = next(message, contents))
          items.push(item);
        return items;
      });
    if (type.startsWith('(')) return inside('r', contents, () => read(message, contents));
    return next(message, type)!;
  });
}

/** One value of this type, or `undefined` at the end of an array. */
function next(message: unknown, type: string): Value | undefined {
  const lib = loadSdBus();
  if (type in NUMBERS) {
    const bytes = Buffer.alloc(8);
    if (done('read_basic', lib.readNumber(message, code(type), bytes)) === 0) return undefined;
    const wide = NUMBERS[type] === 8;
    return type === 'b'
      ? bytes.readUInt32LE() === 1
      : type === 'i'
        ? bytes.readInt32LE()
        : wide
          ? bytes[type === 'x' ? 'readBigInt64LE' : 'readBigUInt64LE']()
          : bytes.readUInt32LE();
  }
  if (/^[sog]$/.test(type)) {
    const text: [string] = [''];
    return done('read_basic', lib.readText(message, code(type), text)) === 0 ? undefined : text[0];
  }
  // A container inside an array: peeked at, for there may be no more.
  const kind = Buffer.alloc(1);
  return done('peek_type', lib.peekType(message, kind, [''])) === 0 ? undefined : read(message, type)[0];
}
