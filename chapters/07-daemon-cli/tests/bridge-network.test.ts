import { randomBytes, randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { linkExists, tryTool } from '../../02-namespaces/index.ts';
import { openBridgeNetwork } from '../bridge-network.ts';

const dir = mkdtempSync(join(tmpdir(), 'bridge-network-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('without a firewall the bridge is there, with its address, and neither a rule nor forwarding is touched', async () => {
  const bridge = `bn${randomBytes(4).toString('hex')}`;
  const bip = `10.${randomInt(64, 250)}.${randomInt(255)}.1/24`;
  const forwards = (): string => readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8');
  const table = (): boolean => tryTool('nft', ['list', 'table', 'ip', bridge]).ok;
  const before = forwards();
  const network = await openBridgeNetwork({ dir, bridge, bip, firewall: false, taken: [] });
  try {
    expect(linkExists(bridge)).toBe(true);
    expect(tryTool('ip', ['-o', '-4', 'addr', 'show', 'dev', bridge]).stdout).toContain(` ${bip} `);
    expect(table()).toBe(false);
    expect(forwards()).toBe(before);
  } finally {
    network.remove();
  }
  expect(linkExists(bridge)).toBe(false);
});
