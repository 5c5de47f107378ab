import { isIPv4 } from 'node:net';

/** Whether an address of IPv4 lies in a network such as `10.0.0.0/8`. What is no address, or no network, does not. */
export function inNetwork(address: string, network: string): boolean {
  const [base = '', bits] = network.split('/');
  if (!isIPv4(address) || !isIPv4(base) || bits === undefined || !/^\d+$/.test(bits)) return false;
  const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  return Math.floor(number(address) / size) === Math.floor(number(base) / size);
}
