import { checkInterfaceName, macForAddress, parseCidr, parseInterfaceAddress } from './address.ts';
import { linkExists } from './bridge.ts';
import { interfaceNames, localAddresses } from './interfaces.ts';
import { netnsPathOf, withNetworkNamespace, type NetworkTarget } from './netns.ts';
import { runTool } from './tool.ts';

/** A cable from a bridge into a network namespace. */
export type Connection = NetworkTarget & {
  bridge: string;
  /** The end that is plugged into the bridge, named on the host: unique, at most 15 bytes. */
  hostName: string;
  /** The end inside: `eth0`. */
  ifName: string;
  /** The address inside, with the network's length: `172.28.0.2/16`. */
  address: string;
  /** The default route; none where it is left out. */
  gateway?: string;
  /** Default: made of the address, as Docker's. */
  mac?: string;
};

/**
 * Connects a network namespace to a bridge: a veth pair, one end plugged into the bridge, the other inside with an address and
 * the default route; loopback is switched on too. When a step fails, nothing of it is left.
 * Source: veth(4), ip-link(8), ip-route(8).
 * @throws RangeError for a bad name or address, Error for a name or address that is taken or a bridge that is not there, all before anything is
 * done; Error with the words of `ip`
 */
export function connectToBridge(connection: Connection): { mac: string } {
  const { bridge, hostName, ifName, address, gateway } = connection;
  const path = netnsPathOf(connection);
  const mac = connection.mac ?? macForAddress(parseInterfaceAddress(address).value);
  checkConnection(connection, path);

  //#gap 02.5 connectToBridge
  // The far end is made where it belongs, under its own name: no other interface of the host ever has that name.
  const peer = ['peer', 'name', ifName, 'address', mac, 'netns', path];
  runTool('ip', ['link', 'add', 'name', hostName, 'type', 'veth', ...peer]);
  try {
    runTool('ip', ['link', 'set', 'dev', hostName, 'master', bridge, 'up']);
    withNetworkNamespace(path, () => {
      runTool('ip', ['link', 'set', 'dev', 'lo', 'up']);
      runTool('ip', ['address', 'add', address, 'dev', ifName]);
      runTool('ip', ['link', 'set', 'dev', ifName, 'up']);
      if (gateway !== undefined) runTool('ip', ['route', 'add', 'default', 'via', gateway, 'dev', ifName]);
    });
  } catch (error) {
    disconnectFromBridge(hostName);
    throw error;
  }
  //#end
  return { mac };
}

/** Pulls the cable: one end of a veth pair takes the other with it. Gone already (the namespace ended): nothing done. */
export function disconnectFromBridge(hostName: string): void {
  checkInterfaceName(hostName);
  if (!linkExists(hostName)) return;
  try {
    runTool('ip', ['link', 'delete', 'dev', hostName, 'type', 'veth']);
  } catch (error) {
    if (linkExists(hostName)) throw error; // otherwise the end of the namespace was faster
  }
}

/** What can be said before anything is done: the kernel's own answer to most of it is "File exists". */
function checkConnection({ bridge, hostName, ifName, address, gateway }: Connection, path: string): void {
  [bridge, hostName, ifName].forEach(checkInterfaceName);
  if (gateway !== undefined) parseCidr(`${gateway}/32`);
  const names = interfaceNames();
  if (!names.includes(bridge)) throw new Error(`connect ${hostName} to ${bridge}: there is no such bridge`);
  if (names.includes(hostName))
    throw new Error(`connect ${hostName} to ${bridge}: the name ${hostName} is taken on the host`);
  const own = parseCidr(address).address;
  if (localAddresses().includes(own))
    throw new Error(`connect ${hostName} to ${bridge}: the address ${own} is the host's own`);
  const inside = withNetworkNamespace(path, () => ({ names: interfaceNames(), addresses: localAddresses() }));
  if (inside.names.includes(ifName))
    throw new Error(
      `connect ${hostName} to ${bridge}: the name ${ifName} is taken in the network of ${path}`,
    );
  if (inside.addresses.includes(own))
    throw new Error(
      `connect ${hostName} to ${bridge}: the address ${own} is taken in the network of ${path}`,
    );
}
