import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  connectToBridge,
  createBridge,
  disconnectFromBridge,
  formatAddress,
  linkExists,
  macForAddress,
  masquerade,
  parseCidr,
  removeBridge,
  removeMasquerade,
  runTool,
} from '../02-namespaces/index.ts';
import { readState, writeState } from '../04-overlayfs/index.ts';
import { ApiError } from './api-error.ts';
import type { Endpoint } from './container.ts';

/** The network that containers are in unless told otherwise: a bridge of the host's, with NAT to the world. */
export interface BridgeNetwork {
  /** 64 hexadecimal digits, which stay the same. */
  readonly id: string;
  readonly bridge: string;
  /** The host's address in it: `172.28.0.1`. */
  readonly gateway: string;
  /** `172.28.0.0/16` */
  readonly subnet: string;
  readonly created: string;
  /** Reserves an address; the cable is not there yet. @throws ApiError 503 when all are taken */
  reserve(): Endpoint;
  /** Lays the cable into a process's network namespace. */
  connect(endpoint: Endpoint, pid: number): void;
  /** Takes the cable away, if it is still there, and gives the address back. */
  release(endpoint: Endpoint): void;
  /** Takes bridge and firewall rules away. Not while a container is in it. */
  remove(): void;
}

interface NetworkState {
  version: 1;
  id: string;
  bridge: string;
  address: string;
  created: string;
}

/** Tried in turn where no `--bip` is given, and nothing was chosen before. */
const CANDIDATES = [
  ...[28, 29, 30, 31, 27, 26].map((second) => `172.${second}.0.1/16`),
  ...[200, 201, 202, 203].map((second) => `10.${second}.0.1/16`),
];

/**
 * Brings the bridge up. Its network is the one given, or the one that it had the last time, or the first candidate that this host
 * has no route to.
 * @param taken the endpoints of containers that run already
 * @throws RangeError for a bad name or address; Error with the words of `ip` and `nft`
 */
export async function openBridgeNetwork(options: {
  dir: string;
  bridge: string;
  bip: string | undefined;
  /** Whether to write the rules that let the network out. */
  firewall: boolean;
  taken: readonly Endpoint[];
}): Promise<BridgeNetwork> {
  const { dir, bridge, bip, firewall } = options;
  const file = join(dir, 'bridge.json');
  const before = await readState<NetworkState>(file, 1);
  const remembered = before?.bridge === bridge ? before.address : undefined;
  const address =
    bip ?? (remembered && (linkExists(bridge) || isFree(remembered)) ? remembered : firstFree());
  const cidr = parseCidr(address);
  const wasThere = linkExists(bridge);
  createBridge({ name: bridge, address });
  try {
    if (firewall) masquerade({ table: bridge, subnet: cidr.subnet, bridge });
  } catch (error) {
    if (!wasThere) removeBridge(bridge);
    throw error;
  }
  const state: NetworkState = {
    version: 1,
    id: before?.id ?? randomBytes(32).toString('hex'),
    bridge,
    address,
    created: before?.created ?? new Date().toISOString(),
  };
  await writeState(file, state);
  const used = new Set([cidr.value, ...options.taken.map((endpoint) => addressValue(endpoint.address))]);

  return {
    id: state.id,
    bridge,
    gateway: cidr.address,
    subnet: cidr.subnet,
    created: state.created,
    reserve: () => {
      // The first address is the network's own name, the last is everyone's.
      for (let value = cidr.first + 1; value < cidr.last; value++) {
        if (used.has(value)) continue;
        used.add(value);
        return {
          id: randomBytes(32).toString('hex'),
          hostName: `veth${randomBytes(4).toString('hex').slice(0, 7)}`,
          address: formatAddress(value),
          prefixLength: cidr.prefix,
          gateway: cidr.address,
          mac: macForAddress(value),
        };
      }
      throw new ApiError(503, `no address is left in the network ${cidr.subnet} of bridge ${bridge}`);
    },
    connect: (endpoint, pid) => {
      connectToBridge({
        bridge,
        pid,
        hostName: endpoint.hostName,
        ifName: 'eth0',
        address: `${endpoint.address}/${endpoint.prefixLength}`,
        gateway: endpoint.gateway,
        mac: endpoint.mac,
      });
    },
    release: (endpoint) => {
      disconnectFromBridge(endpoint.hostName);
      used.delete(addressValue(endpoint.address));
    },
    remove: () => {
      if (firewall) removeMasquerade({ table: bridge });
      removeBridge(bridge);
    },
  };
}

const addressValue = (address: string): number => parseCidr(`${address}/32`).value;

function firstFree(): string {
  const free = CANDIDATES.find(isFree);
  if (free === undefined)
    throw new Error(`no network is free for the bridge: tried ${CANDIDATES.join(', ')}; give one with --bip`);
  return free;
}

/** Whether this host has neither an address in the network nor a route to a part of it. */
function isFree(address: string): boolean {
  const { first, last } = parseCidr(address);
  const routes = JSON.parse(runTool('ip', ['-json', '-4', 'route', 'show', 'table', 'all'])) as {
    dst?: string;
  }[];
  return routes.every(({ dst }) => {
    if (!dst || !/^[\d.]+(\/\d+)?$/.test(dst)) return true;
    const other = parseCidr(dst.includes('/') ? dst : `${dst}/32`);
    return other.last < first || other.first > last;
  });
}
