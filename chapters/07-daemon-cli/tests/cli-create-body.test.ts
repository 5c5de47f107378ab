import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createBody } from '../cli-create-body.ts';
import { parseMount, parseVolume } from '../cli-mounts.ts';
import { parsePublish } from '../cli-ports.ts';
import type { ContainerFlags } from '../cli-container-options.ts';

const surroundings = { environment: { HOME: '/root' }, consoleSize: [0, 0], detach: false } as const;
const body = (flags: ContainerFlags, command: string[] = []) =>
  JSON.parse(JSON.stringify(createBody(flags, 'busybox', command, surroundings))) as Record<
    string,
    unknown
  > & {
    HostConfig: Record<string, unknown>;
  };

test('without flags every field is there with its zero value, in the order of the stock client', () => {
  expect(JSON.stringify(createBody({}, 'busybox', [], surroundings))).toBe(
    '{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"busybox","Volumes":{},"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":[],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null},"NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,"Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}}}',
  );
});

test('-i keeps stdin open, and closes it after the one who attached first', () => {
  expect(body({ interactive: true })).toMatchObject({ AttachStdin: true, OpenStdin: true, StdinOnce: true });
  const detached = createBody({ interactive: true }, 'busybox', [], { ...surroundings, detach: true });
  expect(detached).toMatchObject({
    AttachStdin: false,
    AttachStdout: false,
    OpenStdin: true,
    StdinOnce: false,
  });
});

test('a variable without a value is taken from here', () => {
  expect(body({ env: ['A=b', 'HOME', 'UNSET'] })['Env']).toEqual(['A=b', 'HOME=/root', 'UNSET']);
});

test('files of variables and labels come before what is given one by one', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mydocker-07c-'));
  try {
    const path = join(directory, 'env');
    writeFileSync(path, '# a comment\n\nA=1\n  B=2 3\nHOME\n');
    expect(body({ envFile: [path], env: ['A=9'] })['Env']).toEqual(['A=1', 'B=2 3', 'HOME=/root', 'A=9']);
    writeFileSync(path, 'bad name=1\n');
    expect(() => body({ envFile: [path] })).toThrow("variable 'bad name' contains whitespaces");
    expect(() => body({ envFile: [join(directory, 'none')] })).toThrow('no such file or directory');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('volumes with a source are binds, those without are volumes without a name', () => {
  const made = body({ volume: ['/a:/b:ro', 'data:/c', '/d'].map(parseVolume) });
  expect(made.HostConfig['Binds']).toEqual(['/a:/b:ro', 'data:/c']);
  expect(made['Volumes']).toEqual({ '/d': {} });
});

test('published ports are exposed too', () => {
  const made = body({ publish: [parsePublish('8000-8001:80-81'), parsePublish('127.0.0.1::53/udp')] });
  expect(made['ExposedPorts']).toEqual({ '53/udp': {}, '80/tcp': {}, '81/tcp': {} });
  expect(made.HostConfig['PortBindings']).toEqual({
    '53/udp': [{ HostIp: '127.0.0.1', HostPort: '' }],
    '80/tcp': [{ HostIp: '', HostPort: '8000' }],
    '81/tcp': [{ HostIp: '', HostPort: '8001' }],
  });
});

test('flags that contradict each other are refused', () => {
  expect(() => body({ rm: true, restart: { Name: 'always', MaximumRetryCount: 0 } })).toThrow(
    'both --restart and --rm',
  );
  expect(() => body({ init: true })).toThrow('--init: this engine has no init program');
  expect(() => body({ networkAlias: ['x'] })).toThrow('only supported for user-defined networks');
});

test('mounts: what is missing is named', () => {
  expect(() => parseMount('type=bind,target=/x')).toThrow('type=bind needs source');
  expect(() => parseMount('type=foo,target=/x')).toThrow('give bind, volume or tmpfs');
  expect(() => parseMount('type=tmpfs')).toThrow('target is required');
  expect(() => parseMount('type=tmpfs,target=/x,colour=red')).toThrow("unexpected key 'colour'");
});
