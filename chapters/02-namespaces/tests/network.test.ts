import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import {
  bringUpLoopback,
  CLONE,
  connectToBridge,
  createBridge,
  disconnectFromBridge,
  linkExists,
  listRuleset,
  masquerade,
  mount,
  MS,
  namespaceId,
  namespacePath,
  parseCidr,
  removeBridge,
  removeMasquerade,
  runTool,
  unshare,
  withNetworkNamespace,
} from '../index.ts';
import { until } from '../../01-processes/tests/until.ts';
import { inChild, parked } from './probe.ts';

const tag = Math.random().toString(36).slice(2, 7).padEnd(5, '0');
const bridge = `c2${tag}`;
const net = `10.${20 + Math.floor(Math.random() * 200)}.${Math.floor(Math.random() * 256)}`;
const gateway = `${net}.1`;

/** Whether `address` answers from the network namespace of `pid`. */
const reaches = (pid: number, address: string): boolean =>
  withNetworkNamespace(
    namespacePath(pid, 'net'),
    () => spawnSync('busybox', ['ping', '-c1', '-W1', address]).status === 0,
  );

/** Waits until `address` answers. Soon: an interface carries its first packets once the kernel's own thread has switched it on. */
const answers = (pid: number, address: string): true =>
  until(`${address} answers`, () => reaches(pid, address)) as true;

const newNetwork = () => parked(() => unshare(CLONE.NEWNET));

describe('withNetworkNamespace', () => {
  test('works there and comes back, also from an error', () => {
    const other = newNetwork();
    try {
      const home = namespaceId('self', 'net');
      const path = namespacePath(other.pid, 'net');
      expect(withNetworkNamespace(path, () => namespaceId('self', 'net'))).toBe(
        namespaceId(other.pid, 'net'),
      );
      expect(namespaceId('self', 'net')).toBe(home);
      const fail = () =>
        withNetworkNamespace(path, () => {
          throw new Error('inside');
        });
      expect(fail).toThrow('inside');
      expect(namespaceId('self', 'net')).toBe(home);
      expect(() => withNetworkNamespace(path, async () => undefined)).toThrow(TypeError);
      expect(namespaceId('self', 'net')).toBe(home);
      expect(() => withNetworkNamespace('/no/such', () => 0)).toThrow('ENOENT');
      expect(() => withNetworkNamespace('/proc/self/ns/uts', () => 0)).toThrow('EINVAL');
    } finally {
      other.end();
    }
  });

  test('what was opened there stays there, and a program started there too', () => {
    const other = newNetwork();
    createBridge({ name: bridge, address: `${gateway}/24` });
    try {
      const path = namespacePath(other.pid, 'net');
      const fd = withNetworkNamespace(path, () => openSync('/proc/thread-self/net/dev', 'r'));
      const theirs = readFileSync(fd, 'utf8');
      closeSync(fd);
      expect(theirs).toContain('lo:');
      expect(theirs).not.toContain(`${bridge}:`);
      expect(readFileSync('/proc/thread-self/net/dev', 'utf8')).toContain(`${bridge}:`);
      const child = withNetworkNamespace(path, () => spawn('sleep', ['100']));
      expect(namespaceId(child.pid!, 'net')).toBe(namespaceId(other.pid, 'net'));
      child.kill();
    } finally {
      removeBridge(bridge);
      other.end();
    }
  });
});

test('loopback is down in a new network until it is switched on', () => {
  const other = newNetwork();
  try {
    expect(reaches(other.pid, '127.0.0.1')).toBe(false);
    bringUpLoopback({ pid: other.pid });
    answers(other.pid, '127.0.0.1');
  } finally {
    other.end();
  }
});

describe('a bridge', () => {
  const ends: (() => void)[] = [];
  afterAll(() => {
    // By name: when a namespace ends, the kernel takes its interfaces away a little later.
    for (const letter of ['a', 'b']) disconnectFromBridge(`${bridge}${letter}`);
    for (const end of ends) end();
    removeBridge(bridge);
    for (const letter of ['', 'a', 'b', 'c', 'd']) expect(linkExists(`${bridge}${letter}`)).toBe(false);
  });

  test('is made once, with its address, and refuses another', () => {
    expect(linkExists(bridge)).toBe(false);
    expect(createBridge({ name: bridge, address: `${gateway}/24` })).toEqual({ created: true });
    expect(createBridge({ name: bridge, address: `${gateway}/24` })).toEqual({ created: false });
    expect(() => createBridge({ name: bridge, address: `${net}.9/24` })).toThrow(
      `bridge ${bridge}: it is there, with ${gateway}/24 and not ${net}.9/24`,
    );
    expect(() => createBridge({ name: 'lo', address: `${net}.9/24` })).toThrow('no bridge');
    expect(runTool('ip', ['-br', 'address', 'show', 'dev', bridge])).toContain(`${gateway}/24`);
  });

  test('connects two networks with each other and with the host; before, they reach nobody', () => {
    const [a, b] = [newNetwork(), newNetwork()];
    ends.push(a.end, b.end);
    expect(reaches(a.pid, gateway)).toBe(false);
    const { mac } = connectToBridge({
      bridge,
      pid: a.pid,
      hostName: `${bridge}a`,
      ifName: 'eth0',
      address: `${net}.2/24`,
      gateway,
    });
    connectToBridge({
      bridge,
      netnsPath: namespacePath(b.pid, 'net'),
      hostName: `${bridge}b`,
      ifName: 'eth0',
      address: `${net}.3/24`,
      gateway,
      mac: '02:42:ac:11:00:99',
    });
    expect(mac).toBe(
      `02:42:0a:${net
        .split('.')
        .slice(1)
        .map((n) => Number(n).toString(16).padStart(2, '0'))
        .join(':')}:02`,
    );
    answers(a.pid, gateway);
    answers(a.pid, `${net}.3`);
    answers(b.pid, `${net}.2`);
    answers(process.pid, `${net}.3`);
    const inside = withNetworkNamespace(namespacePath(b.pid, 'net'), () => [
      runTool('ip', ['link', 'show', 'dev', 'eth0']),
      runTool('ip', ['route']),
    ]);
    expect(inside[0]).toContain('02:42:ac:11:00:99');
    expect(inside[1]).toContain(`default via ${gateway} dev eth0`);
  });

  test('another process that joins a connected network uses its address', () => {
    const owner = newNetwork();
    ends.push(owner.end);
    connectToBridge({
      bridge,
      pid: owner.pid,
      hostName: `${bridge}c`,
      ifName: 'eth0',
      address: `${net}.4/24`,
    });
    const seen = withNetworkNamespace(namespacePath(owner.pid, 'net'), () =>
      runTool('ip', ['-br', 'address']),
    );
    expect(seen).toContain(`${net}.4/24`);
    disconnectFromBridge(`${bridge}c`);
    disconnectFromBridge(`${bridge}c`); // gone: nothing done
    expect(linkExists(`${bridge}c`)).toBe(false);
  });

  test('a connection that fails half-way leaves nothing', () => {
    const other = newNetwork();
    ends.push(other.end);
    const options = {
      bridge,
      pid: other.pid,
      hostName: `${bridge}d`,
      ifName: 'eth0',
      address: `${net}.5/24`,
    };
    expect(() => connectToBridge({ ...options, gateway: '192.0.2.1' })).toThrow(
      /^ip route add default via 192\.0\.2\.1 dev eth0: .*unreachable|invalid gateway/,
    );
    expect(linkExists(`${bridge}d`)).toBe(false);
    expect(() => connectToBridge({ ...options, bridge: 'lo' })).toThrow(
      `ip link set dev ${bridge}d master lo up: `,
    );
    expect(linkExists(`${bridge}d`)).toBe(false);
  });

  test('what is taken, or not there, is said before anything is made', () => {
    const other = newNetwork();
    ends.push(other.end);
    const good = { bridge, pid: other.pid, hostName: `${bridge}f`, ifName: 'eth0', address: `${net}.7/24` };
    const refused = (bad: Partial<typeof good>, message: string) => {
      expect(() => connectToBridge({ ...good, ...bad })).toThrow(
        `connect ${bad.hostName ?? good.hostName} to ${bad.bridge ?? bridge}: ${message}`,
      );
      expect(linkExists(`${bridge}f`)).toBe(false);
    };
    refused({ bridge: `${bridge}x` }, 'there is no such bridge');
    refused({ hostName: 'lo' }, 'the name lo is taken on the host');
    refused({ ifName: 'lo' }, `the name lo is taken in the network of /proc/${other.pid}/ns/net`);
    refused({ address: `${gateway}/24` }, `the address ${gateway} is the host's own`);
    connectToBridge(good);
    expect(() => connectToBridge({ ...good, hostName: `${bridge}g`, ifName: 'eth1' })).toThrow(
      `connect ${bridge}g to ${bridge}: the address ${net}.7 is taken in the network of`,
    );
    expect(() => connectToBridge({ ...good, hostName: `${bridge}g` })).toThrow('the name eth0 is taken');
    expect(linkExists(`${bridge}g`)).toBe(false);
    disconnectFromBridge(`${bridge}f`);
    expect(() => createBridge({ name: `${bridge}y`, address: `${gateway}/16` })).toThrow(
      `bridge ${bridge}y: ${gateway} is an address of this machine already`,
    );
    expect(linkExists(`${bridge}y`)).toBe(false);
  });

  test('a process that has died is said, and nothing is made', () => {
    const gone = newNetwork();
    gone.end();
    const dead = { bridge, pid: gone.pid, hostName: `${bridge}h`, ifName: 'eth0', address: `${net}.8/24` };
    expect(() => connectToBridge(dead)).toThrow(`/proc/${gone.pid}/ns/net`);
    expect(linkExists(`${bridge}h`)).toBe(false);
  });

  test.each([
    [{ hostName: 'x/y' }, 'invalid interface name "x/y"'],
    [{ hostName: '-x' }, 'invalid interface name "-x"'],
    [{ ifName: 'longer-than-15-bytes' }, 'invalid interface name'],
    [{ address: '10.0.0.256/8' }, 'invalid address "10.0.0.256/8"'],
    [{ gateway: 'gw' }, 'invalid address "gw/32"'],
    [{ hostName: '../x' }, 'invalid interface name "../x"'],
    [{ hostName: '..' }, 'invalid interface name ".."'],
    [{ address: '10.1.2.0/24' }, 'it is the network itself of 10.1.2.0/24'],
    [{ address: '10.1.2.255/24' }, 'it is the broadcast address of 10.1.2.0/24'],
    [{ address: '127.0.0.2/8' }, 'it is loopback'],
    [{ address: '224.0.0.5/24' }, 'it is a group'],
  ])('refuses %j before anything is made', (bad, message) => {
    const good = { bridge, pid: process.pid, hostName: `${bridge}e`, ifName: 'eth0', address: `${net}.6/24` };
    expect(() => connectToBridge({ ...good, ...bad })).toThrow(message);
    expect(linkExists(`${bridge}e`)).toBe(false);
  });
});

describe('masquerade', () => {
  // In a network of its own as the "host", so that the machine's ip_forward and firewall are not touched.
  const forward = '/proc/sys/net/ipv4/ip_forward';
  const inOwnNetwork = <T>(fn: () => T): T =>
    inChild(() => {
      unshare(CLONE.NEWNET | CLONE.NEWNS);
      mount({ target: '/', flags: MS.REC | MS.PRIVATE });
      writeFileSync(forward, '0');
      return fn();
    });
  const state = () => ({
    forward: readFileSync(forward, 'utf8').trim(),
    tables: [...new Set(listRuleset().chains.map((chain) => chain.table))].sort(),
  });
  const dropForwarded =
    'table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }';
  const one = { table: 'c2-one', subnet: '10.9.1.0/24', bridge: 'c2one' };
  const two = { table: 'c2-two', subnet: '10.9.2.0/24', bridge: 'c2two' };

  test('switches forwarding on, can be repeated, and gives all back', () => {
    const seen = inOwnNetwork(() => {
      const before = state();
      masquerade(one);
      const first = listRuleset().rules.length;
      masquerade(one);
      const during = { ...state(), same: listRuleset().rules.length === first };
      removeMasquerade(one);
      const after = state();
      removeMasquerade(one); // gone: nothing done
      return { before, during, after };
    });
    expect(seen).toEqual({
      before: { forward: '0', tables: [] },
      during: { forward: '1', tables: ['c2-one'], same: true },
      after: { forward: '0', tables: [] },
    });
  });

  test('forwarding that was on stays on', () => {
    const after = inOwnNetwork(() => {
      writeFileSync(forward, '1');
      masquerade(one);
      removeMasquerade(one);
      return state();
    });
    expect(after).toEqual({ forward: '1', tables: [] });
  });

  test('of two, the last to go switches forwarding off', () => {
    const seen = inOwnNetwork(() => {
      masquerade(one);
      masquerade(two);
      removeMasquerade(one);
      const between = state();
      removeMasquerade(two);
      return [between, state()];
    });
    expect(seen).toEqual([
      { forward: '1', tables: ['c2-two'] },
      { forward: '0', tables: [] },
    ]);
  });

  test('who else masquerades keeps forwarding on', () => {
    const after = inOwnNetwork(() => {
      masquerade(one);
      runTool(
        'nft',
        ['-f', '-'],
        'table ip other { chain p { type nat hook postrouting priority 100; masquerade; }; }',
      );
      removeMasquerade(one);
      return state();
    });
    expect(after).toEqual({ forward: '1', tables: ['other'] });
  });

  test('a firewall that drops what is forwarded lets the bridge through, and is as before afterwards', () => {
    const seen = inOwnNetwork(() => {
      runTool('nft', ['-f', '-'], dropForwarded);
      const list = () => runTool('nft', ['list', 'table', 'ip', 'filter']);
      const before = list();
      masquerade(one);
      masquerade(one);
      const during = list();
      removeMasquerade(one);
      return { before, during, after: list() };
    });
    expect(seen.during.match(/accept/g)).toHaveLength(2);
    expect(seen.during).toContain('iifname "c2one" accept comment "c2-one"');
    expect(seen.after).toBe(seen.before);
  });

  test('packets leave under the host’s address, and no stranger gets in', () => {
    const seen = inOwnNetwork(() => {
      // internet 192.0.2.9 ── 192.0.2.1 host 10.9.1.1 ── bridge ── 10.9.1.2 container
      const internet = newNetwork();
      const container = newNetwork();
      try {
        createBridge({ name: 'c2one', address: '10.9.1.1/24' });
        createBridge({ name: 'c2out', address: '192.0.2.1/24' });
        const inside = { bridge: 'c2one', pid: container.pid, hostName: 'c2va', ifName: 'eth0' };
        connectToBridge({ ...inside, address: '10.9.1.2/24', gateway: '10.9.1.1' });
        const outside = { bridge: 'c2out', pid: internet.pid, hostName: 'c2vb', ifName: 'eth0' };
        connectToBridge({ ...outside, address: '192.0.2.9/24' });
        const before = reaches(container.pid, '192.0.2.9');
        runTool('nft', ['-f', '-'], dropForwarded); // as on a host with Docker
        masquerade(one);
        const after = answers(container.pid, '192.0.2.9');
        withNetworkNamespace(namespacePath(internet.pid, 'net'), () =>
          runTool('ip', ['route', 'add', '10.9.1.0/24', 'via', '192.0.2.1']),
        );
        const stranger = reaches(internet.pid, '10.9.1.2');
        return { before, after, stranger };
      } finally {
        internet.end();
        container.end();
      }
    });
    // The far side has no route back to 10.9.1.0/24: an answer comes only if the packet had the host's address.
    expect(seen).toEqual({ before: false, after: true, stranger: false });
  });

  test.each([
    [{ table: 'a b' }, 'invalid nft table "a b"'],
    [{ table: 'x; flush ruleset' }, 'invalid nft table'],
    [{ subnet: '10.0.0.0' }, 'invalid address "10.0.0.0"'],
    [{ bridge: '"' }, 'invalid interface name'],
  ])('refuses %j', (bad, message) => {
    expect(() => masquerade({ ...one, ...bad })).toThrow(message);
  });
});

test('parseCidr knows the network of an address', () => {
  expect(parseCidr('172.28.3.4/16')).toMatchObject({
    address: '172.28.3.4',
    prefix: 16,
    subnet: '172.28.0.0/16',
  });
  expect(parseCidr('255.255.255.255/32').value).toBe(2 ** 32 - 1);
  for (const bad of ['10.0.0.1', '10.0.0/8', '10.0.0.1/33', '1.2.3.4.5/8', ''])
    expect(() => parseCidr(bad)).toThrow(RangeError);
});
