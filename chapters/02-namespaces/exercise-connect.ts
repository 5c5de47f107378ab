import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expectSame, expectThat, inChild, type Exercise, type Trial } from '../01-processes/index.ts';
import { createBridge, removeBridge } from './bridge.ts';
import { strangerIn } from './exercise-support.ts';
import { CLONE, namespacePath, unshare } from './namespaces.ts';
import { withNetworkNamespace } from './netns.ts';
import { connectToBridge } from './veth.ts';

export const connecting: Exercise = {
  gap: '02.5',
  task: 'Connect a network namespace to a bridge with a veth pair.',
  hints: [
    'A veth pair is a cable with two ends. One end is plugged into the bridge, the other lies in the namespace.',
    'ip-link(8): "type veth peer name … netns …" makes the far end where it belongs. What is inside is configured inside: withNetworkNamespace.',
    'ip link add; ip link set … master BRIDGE up; inside: lo up, address add, IFNAME up, route add default via GATEWAY. When a step fails, disconnectFromBridge(hostName).',
  ],
  check: checkConnect,
  wrong: [
    {
      mistake: 'forgets to plug it into the bridge',
      code: `runTool('ip', ['link', 'add', 'name', hostName, 'type', 'veth', 'peer', 'name', ifName, 'address', mac, 'netns', path]);
runTool('ip', ['link', 'set', 'dev', hostName, 'up']);
withNetworkNamespace(path, () => {
  runTool('ip', ['link', 'set', 'dev', 'lo', 'up']);
  runTool('ip', ['address', 'add', address, 'dev', ifName]);
  runTool('ip', ['link', 'set', 'dev', ifName, 'up']);
  if (gateway !== undefined) runTool('ip', ['route', 'add', 'default', 'via', gateway, 'dev', ifName]);
});`,
      diagnosis: 'not plugged into the bridge',
    },
    {
      mistake: 'leaves loopback down',
      code: `runTool('ip', ['link', 'add', 'name', hostName, 'type', 'veth', 'peer', 'name', ifName, 'address', mac, 'netns', path]);
runTool('ip', ['link', 'set', 'dev', hostName, 'master', bridge, 'up']);
withNetworkNamespace(path, () => {
  runTool('ip', ['address', 'add', address, 'dev', ifName]);
  runTool('ip', ['link', 'set', 'dev', ifName, 'up']);
  if (gateway !== undefined) runTool('ip', ['route', 'add', 'default', 'via', gateway, 'dev', ifName]);
});`,
      diagnosis: 'loopback',
    },
    {
      mistake: 'leaves half a cable when a step fails',
      code: `runTool('ip', ['link', 'add', 'name', hostName, 'type', 'veth', 'peer', 'name', ifName, 'address', mac, 'netns', path]);
runTool('ip', ['link', 'set', 'dev', hostName, 'master', bridge, 'up']);
withNetworkNamespace(path, () => {
  runTool('ip', ['link', 'set', 'dev', 'lo', 'up']);
  runTool('ip', ['address', 'add', address, 'dev', ifName]);
  runTool('ip', ['link', 'set', 'dev', ifName, 'up']);
  if (gateway !== undefined) runTool('ip', ['route', 'add', 'default', 'via', gateway, 'dev', ifName]);
});`,
      diagnosis: 'nothing of it may be left',
    },
  ],
};

async function checkConnect(t: Trial): Promise<void> {
  // The bridge and its cable live in a network namespace of the check's own.
  const stranger = await strangerIn(t, '--net');
  const bridge = `b${t.word()}`;
  const hostName = `v${t.word()}`;
  const [a, b] = [t.number(64, 250), t.number(1, 250)];
  const gateway = `10.${a}.${b}.1`;
  const address = `10.${a}.${b}.${t.number(2, 250)}/24`;
  const { result } = inChild(t, () => {
    unshare(CLONE.NEWNET);
    createBridge({ name: bridge, address: `${gateway}/24` });
    const connection = { bridge, hostName, ifName: 'eth0', address, gateway, pid: stranger };
    connectToBridge(connection);
    const run = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
    const seen = {
      outside: run('-o', 'link', 'show', 'dev', hostName),
      inside: withNetworkNamespace(
        namespacePath(stranger, 'net'),
        () => `${run('-o', 'address')}${run('route')}`,
      ),
      reached: '',
      left: '',
    };
    try {
      withNetworkNamespace(namespacePath(stranger, 'net'), () =>
        execFileSync('busybox', ['ping', '-c', '1', '-W', '2', gateway], { stdio: 'pipe' }),
      );
      seen.reached = 'yes';
    } catch {
      seen.reached = 'no';
    }
    try {
      // A gateway that cannot be reached: it must fail at the last step, and leave nothing.
      connectToBridge({
        ...connection,
        hostName: `${hostName.slice(0, 8)}2`,
        ifName: 'eth1',
        address: `10.${a}.${b}.251/24`,
        gateway: '192.0.2.77',
      });
    } catch {
      seen.left = existsSync(`/sys/class/net`)
        ? run('-o', 'link').includes(`${hostName.slice(0, 8)}2`)
          ? 'left'
          : ''
        : '';
    }
    removeBridge(bridge);
    return seen;
  });
  expectThat(
    result.outside.includes(`master ${bridge}`),
    `${hostName} in ${bridge}`,
    result.outside.trim(),
    'The host’s end is not plugged into the bridge: ip link set dev … master.',
  );
  expectThat(
    result.inside.includes(address),
    `eth0 with ${address}`,
    result.inside,
    'The end inside has no address: ip address add, inside.',
  );
  expectThat(
    /\blo\b.*127\.0\.0\.1/.test(result.inside),
    '127.0.0.1 on lo',
    result.inside,
    'In a new network namespace even loopback is down: ip link set dev lo up.',
  );
  expectThat(
    result.inside.includes(`default via ${gateway}`),
    `a default route by ${gateway}`,
    result.inside,
    'There is no default route: ip route add default via the gateway.',
  );
  expectSame(
    'the gateway answers a ping from inside',
    'yes',
    result.reached,
    'Both ends and the bridge must be up.',
  );
  expectSame(
    'links left after a connection that failed',
    '',
    result.left,
    'When a step fails, nothing of it may be left: disconnectFromBridge, and throw on.',
  );
}
