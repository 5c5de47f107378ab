import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openBus, type Value } from '../dbus.ts';
import { createSystemdCgroup } from '../index.ts';
import { resourceProperties } from '../systemd-properties.ts';

// The bus is dbus-daemon's, with an address of its own; what was said on it is told by dbus-monitor.

const folder = mkdtempSync(join(tmpdir(), 'ch03-bus-'));
const address = `unix:path=${folder}/bus`;
let daemon: ChildProcess;

beforeAll(async () => {
  const config = join(folder, 'bus.conf');
  // Nothing is started on demand here: nobody is systemd.
  writeFileSync(
    config,
    `<busconfig><type>session</type><listen>${address}</listen><policy context="default">
     <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`,
  );
  daemon = spawn('dbus-daemon', [`--config-file=${config}`, '--nofork', '--print-address'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(daemon.stdout!, 'data');
});

afterAll(async () => {
  daemon.kill();
  await once(daemon, 'exit');
  rmSync(folder, { recursive: true });
});

const BUS = {
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
} as const;

test('a call is answered, and a refusal has its name and its reason', () => {
  const bus = openBus(address, true);
  try {
    const [names] = bus.call({ ...BUS, member: 'ListNames' }, '', [], 'as');
    expect(names).toContain('org.freedesktop.DBus');
    expect(bus.call({ ...BUS, member: 'NameHasOwner' }, 's', ['org.freedesktop.DBus'], 'b')).toEqual([true]);
    expect(bus.call({ ...BUS, member: 'RequestName' }, 'su', ['org.example.ch03', 0], 'u')).toEqual([1]);
    expect(bus.signal('org.freedesktop.DBus', 'NameAcquired', 's', 5000)).toBeDefined();
    expect(bus.signal('org.freedesktop.DBus', 'NoSuchSignal', 's', 1)).toBeUndefined();
    expect(() => bus.call({ ...BUS, member: 'GetNameOwner' }, 's', ['org.example.nobody'])).toThrow(
      /GetNameOwner: .*org\.example\.nobody.*\(org\.freedesktop\.DBus\.Error\.NameHasNoOwner\)/,
    );
  } finally {
    bus.close();
  }
});

test('properties are on the wire what systemd wants', async () => {
  const monitor = spawn('dbus-monitor', ['--address', address, "type='method_call'"]);
  let said = '';
  monitor.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  while (!said.includes('NameAcquired')) await once(monitor.stdout, 'data');
  const properties = resourceProperties(
    {
      memory: { limit: 104_857_600 },
      pids: { limit: -1 },
      cpu: { cpus: '0-1,9' },
      devices: [{ allow: false }, { allow: true, type: 'c', major: 1, minor: 3, access: 'rw' }],
    },
    'v2',
  ).map(({ name, signature, value }): Value => [name, { signature, value }]);
  const bus = openBus(address, true);
  onTestFinished(() => void monitor.kill());
  try {
    const method = {
      destination: 'org.freedesktop.systemd1',
      path: '/org/freedesktop/systemd1',
      interface: 'org.freedesktop.systemd1.Manager',
      member: 'StartTransientUnit',
    };
    const args: Value[] = ['x.scope', 'replace', properties, []];
    expect(() => bus.call(method, 'ssa(sv)a(sa(sv))', args, 'o')).toThrow('ServiceUnknown');
  } finally {
    bus.close();
  }
  while (!/member=StartTransientUnit[^]*AllowedCPUs[^]*array \[\s*\]\s*$/.test(said))
    await once(monitor.stdout, 'data');
  monitor.kill();
  await once(monitor, 'exit');
  const text = said.slice(said.indexOf('member=StartTransientUnit')).replace(/\s+/g, ' ');
  expect(text).toContain('string "x.scope" string "replace" array [');
  expect(text).toContain('struct { string "MemoryMax" variant uint64 104857600 }');
  expect(text).toContain('struct { string "TasksMax" variant uint64 18446744073709551615 }');
  expect(text).toContain('struct { string "DevicePolicy" variant string "strict" }');
  expect(text).toContain('struct { string "/dev/char/1:3" string "rw" }');
  expect(text).toMatch(/string "AllowedCPUs" variant array of bytes \[ 03 02 \]/);
});

test('where nobody is systemd, the driver says so, and leaves nothing', () => {
  expect(() => createSystemdCgroup('::ch03-nobody', process.pid, {}, { address })).toThrow('ServiceUnknown');
  const nowhere = { address: `unix:path=${folder}/nobody` };
  expect(() => createSystemdCgroup('::ch03-nobody', process.pid, {}, nowhere)).toThrow(
    `systemd does not answer at unix:path=${folder}/nobody`,
  );
});
