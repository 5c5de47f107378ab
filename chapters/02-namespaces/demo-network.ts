import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Step } from '../01-processes/index.ts';
import { octet, parked, tag, type Parked } from './demo-support.ts';
import {
  CLONE,
  connectToBridge,
  createBridge,
  disconnectFromBridge,
  joinNamespaces,
  listRuleset,
  masquerade,
  namespaceId,
  namespacePath,
  removeBridge,
  removeMasquerade,
  runTool,
  unshare,
  withNetworkNamespace,
} from './index.ts';

// Two containers that talk, one that joins, and the way out to the host's side and back.

export function network(s: Step): void {
  const bridge = `d2${tag}`;
  const prefix = `10.${octet()}.${octet()}`;
  const [a, b] = [parked(() => unshare(CLONE.NEWNET)), parked(() => unshare(CLONE.NEWNET))];
  s.cleanup(`end processes ${a.pid} and ${b.pid}`, () => [a, b].forEach(({ end }) => end()));
  const ping = (from: Parked, to: string): boolean =>
    withNetworkNamespace(
      namespacePath(from.pid, 'net'),
      () => spawnSync('busybox', ['ping', '-c1', '-W1', to]).status === 0,
    );
  /** Soon: an interface carries its first packets once the kernel's own thread has switched it on. */
  const answers = (from: Parked, to: string): boolean => {
    for (let tries = 1; tries < 20; tries++) if (ping(from, to)) return true;
    return ping(from, to);
  };
  s.evidence('interfaces of a new network namespace', { container: inside(a, ['-br', 'link']) });
  s.claim('it does not even reach itself', !ping(a, '127.0.0.1'));

  createBridge({ name: bridge, address: `${prefix}.1/24` });
  s.cleanup(`remove bridge ${bridge}`, () => removeBridge(bridge));
  s.call(`ip link add name ${bridge} type bridge; ip address add ${prefix}.1/24 dev ${bridge}`, 'up');
  [a, b].forEach(({ pid }, i) => {
    const [hostName, address] = [`${bridge}${'ab'[i]}`, `${prefix}.${i + 2}/24`];
    connectToBridge({ bridge, pid, hostName, ifName: 'eth0', address, gateway: `${prefix}.1` });
    s.cleanup(`remove ${hostName}`, () => disconnectFromBridge(hostName));
    s.call(
      `ip link add name ${hostName} type veth peer name eth0 netns ${pid}`,
      `${address}, default via ${prefix}.1`,
    );
  });
  s.evidence('addresses', {
    host: runTool('ip', ['-br', 'address', 'show', 'dev', bridge]).trim(),
    a: inside(a, ['-br', 'address', 'show', 'dev', 'eth0']),
    b: inside(b, ['-br', 'address', 'show', 'dev', 'eth0']),
  });
  s.claim('a reaches b over the bridge', answers(a, `${prefix}.3`));
  s.claim('b reaches the host by the gateway', answers(b, `${prefix}.1`));
  s.claim(
    'their addresses are on no interface of the host',
    !runTool('ip', ['-br', 'address']).includes(`${prefix}.2/24`),
  );

  joinedBy(s, a, `${prefix}.2`);
  translated(s, { bridge, prefix }, { ping: (to) => ping(a, to), answers: (to) => answers(a, to) });
}

/** docker run --network container:X: the same interfaces, because it is the same namespace. */
function joinedBy(s: Step, owner: Parked, address: string): void {
  const path = namespacePath(owner.pid, 'net');
  const guest = parked(() => joinNamespaces({ net: path }));
  s.cleanup(`end process ${guest.pid}`, guest.end);
  s.call(`setns(open("${path}"), CLONE_NEWNET)`, 0);
  s.evidence('who joins a’s network', {
    a: namespaceId(owner.pid, 'net'),
    guest: `${namespaceId(guest.pid, 'net')} ${inside(guest, ['-br', '-4', 'address', 'show', 'dev', 'eth0'])}`,
  });
  s.claim(
    'has a’s address, and the same loopback',
    namespaceId(guest.pid, 'net') === namespaceId(owner.pid, 'net') &&
      inside(guest, ['address', 'show', 'dev', 'eth0']).includes(address),
  );
}

/** A neighbour of the host's, which has no way back to the containers' network: an answer shows that the packet had the host's address. */
function translated(
  s: Step,
  { bridge, prefix }: { bridge: string; prefix: string },
  { ping, answers }: Record<'ping' | 'answers', (to: string) => boolean>,
): void {
  const outer = `d2${Math.random().toString(36).slice(2, 7).padEnd(5, '0')}`;
  const far = `198.18.${octet()}`; // addresses for tests, which nobody has
  const neighbour = parked(() => unshare(CLONE.NEWNET));
  s.cleanup(`end process ${neighbour.pid}`, neighbour.end);
  createBridge({ name: outer, address: `${far}.1/24` });
  s.cleanup(`remove bridge ${outer}`, () => removeBridge(outer));
  s.call(
    `ip link add name ${outer} type bridge; ip address add ${far}.1/24 dev ${outer}`,
    'the host’s other side',
  );
  connectToBridge({
    bridge: outer,
    pid: neighbour.pid,
    hostName: `${outer}a`,
    ifName: 'eth0',
    address: `${far}.9/24`,
  });
  s.cleanup(`remove ${outer}a`, () => disconnectFromBridge(`${outer}a`));

  const forward = (): string => readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim();
  const before = { ip_forward: forward(), reached: ping(`${far}.9`) };
  try {
    masquerade({ table: bridge, subnet: `${prefix}.0/24`, bridge });
  } catch (error) {
    if (!/Operation not supported/.test((error as Error).message)) throw error;
    s.note('this kernel’s nf_tables knows no IPv4 (CONFIG_NF_TABLES_IPV4): no way to the world can be shown');
    return;
  }
  s.cleanup(`remove nft table ${bridge}`, () => removeMasquerade({ table: bridge }));
  s.call(
    `nft add rule ip ${bridge} postrouting ip saddr ${prefix}.0/24 oifname != "${bridge}" masquerade`,
    'ok',
  );
  const during = { ip_forward: forward(), reached: answers(`${far}.9`) };
  removeMasquerade({ table: bridge });
  s.call(`nft delete table ip ${bridge}`, 'ok');
  const after = { ip_forward: forward(), reached: ping(`${far}.9`) };
  const say = ({ ip_forward, reached }: typeof before): string =>
    `${ip_forward}, ${far}.9 ${reached ? 'answers a' : 'does not answer a'}`;
  s.evidence('ip_forward, and a host beyond the host', {
    before: say(before),
    masqueraded: say(during),
    after: say(after),
  });
  s.claim('a reaches it under the host’s address alone', !before.reached && during.reached && !after.reached);
  s.claim(
    'forwarding is as it was found, and no rule is left',
    after.ip_forward === before.ip_forward && !listRuleset().chains.some(({ table }) => table === bridge),
  );
}

function inside(who: Parked, args: string[]): string {
  return withNetworkNamespace(namespacePath(who.pid, 'net'), () => runTool('ip', args)).trim();
}
