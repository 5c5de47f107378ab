import { checkInterfaceName, macForAddress, parseInterfaceAddress } from './address.ts';
import { localAddresses } from './interfaces.ts';
import { runTool, tryTool } from './tool.ts';

/** What `ip -json` tells of an interface, of what is used here. */
interface Link {
  ifname: string;
  linkinfo?: { info_kind?: string };
  addr_info?: { family: string; local: string; prefixlen: number }[];
}

/** A bridge: a switch in the kernel, and the gateway of those who are plugged into it. */
export interface BridgeOptions {
  name: string;
  /** The host's address in the network, with its length: `172.28.0.1/16`. */
  address: string;
}

/**
 * Makes a bridge with an address, and switches it on. One that is there with this address is left as it is, but switched on.
 * Source: ip-link(8), ip-address(8).
 * @returns whether it was made now
 * @throws RangeError for a bad name or address; Error when the name is another interface's, the bridge has another address, or another
 * interface has this one
 */
export function createBridge({ name, address }: BridgeOptions): { created: boolean } {
  checkInterfaceName(name);
  const cidr = parseInterfaceAddress(address);
  const present = findLink(name);
  if (present) {
    checkPresent(present, `${cidr.address}/${cidr.prefix}`);
    runTool('ip', ['link', 'set', 'dev', name, 'up']);
    return { created: false };
  }
  if (localAddresses().includes(cidr.address))
    throw new Error(
      `bridge ${name}: ${cidr.address} is an address of this machine already, on another interface`,
    );
  runTool('ip', ['link', 'add', 'name', name, 'address', macForAddress(cidr.value), 'type', 'bridge']);
  // With no hardware address of its own a bridge takes the lowest of its ports', which changes as they come and go.
  try {
    runTool('ip', ['address', 'add', address, 'dev', name]);
    runTool('ip', ['link', 'set', 'dev', name, 'up']);
  } catch (error) {
    removeBridge(name);
    throw error;
  }
  return { created: true };
}

/** Removes a bridge; what was plugged in stays, unplugged. No such interface: nothing done. @throws Error */
export function removeBridge(name: string): void {
  checkInterfaceName(name);
  if (linkExists(name)) runTool('ip', ['link', 'delete', 'dev', name, 'type', 'bridge']);
}

/** Whether the network namespace of this thread has such an interface. */
export function linkExists(name: string): boolean {
  return findLink(name) !== undefined;
}

function findLink(name: string): Link | undefined {
  const { ok, stdout } = tryTool('ip', ['-json', '-details', 'address', 'show', 'dev', name]);
  return ok ? (JSON.parse(stdout) as Link[])[0] : undefined;
}

function checkPresent(link: Link, address: string): void {
  if (link.linkinfo?.info_kind !== 'bridge')
    throw new Error(`bridge ${link.ifname}: the name is taken by an interface that is no bridge`);
  const addresses = (link.addr_info ?? [])
    .filter(({ family }) => family === 'inet')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  if (!addresses.includes(address))
    throw new Error(
      `bridge ${link.ifname}: it is there, with ${addresses.join(', ') || 'no address'} and not ${address}`,
    );
}
