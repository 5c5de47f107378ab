/** An IPv4 address with the length of its network: `172.28.0.1/16`. */
export interface Cidr {
  /** `172.28.0.1` */
  address: string;
  /** bits of the network, 0 to 32 */
  prefix: number;
  /** the network, with its length: `172.28.0.0/16` */
  subnet: string;
  /** the address as a number of 32 bits */
  value: number;
  /** the network's first and last address, as numbers */
  first: number;
  last: number;
}

/** Reads `a.b.c.d/n`. @throws RangeError that says what is allowed */
export function parseCidr(text: string): Cidr {
  const match = /^((?:\d{1,3}\.){3}\d{1,3})\/(\d{1,2})$/.exec(text);
  const octets = match?.[1]!.split('.').map(Number) ?? [];
  const prefix = Number(match?.[2]);
  if (!match || octets.some((octet) => octet > 255) || prefix > 32)
    throw new RangeError(
      `invalid address ${JSON.stringify(text)}: give an IPv4 address and a length, 10.1.2.3/24`,
    );
  const value = octets.reduce((all, octet) => all * 256 + octet, 0);
  const size = 2 ** (32 - prefix);
  const first = Math.floor(value / size) * size;
  return {
    address: formatAddress(value),
    prefix,
    subnet: `${formatAddress(first)}/${prefix}`,
    value,
    first,
    last: first + size - 1,
  };
}

/** The same, for an address that an interface can have. @throws RangeError */
export function parseInterfaceAddress(text: string): Cidr {
  const cidr = parseCidr(text);
  const { value, prefix, first, last } = cidr;
  const kind =
    value >>> 24 === 0
      ? 'no host'
      : value >>> 24 === 127
        ? 'loopback'
        : value >>> 24 >= 224
          ? 'a group'
          : undefined;
  if (kind)
    throw new RangeError(`invalid address ${JSON.stringify(text)}: it is ${kind}, and not an interface's`);
  // In a network of two there is neither name nor broadcast. RFC 3021.
  if (prefix < 31 && (value === first || value === last))
    throw new RangeError(
      `invalid address ${JSON.stringify(text)}: it is ${value === first ? 'the network itself' : 'the broadcast address'} of ${cidr.subnet}`,
    );
  return cidr;
}

/** 32 bits as four numbers: `formatAddress(0x0a010203) === '10.1.2.3'`. */
export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** The hardware address that Docker gives to who has an IPv4 address: `02:42` (02: set locally) and its four bytes. */
export function macForAddress(value: number): string {
  const bytes = [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
  return ['02', '42', ...bytes.map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

/** The kernel's rule for names of interfaces, and ours: no quoting is ever needed. @throws RangeError */
export function checkInterfaceName(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name))
    throw new RangeError(
      `invalid interface name ${JSON.stringify(name)}: 1 to 15 letters, digits, "_", "." and "-", a letter or digit first`,
    );
  return name;
}
