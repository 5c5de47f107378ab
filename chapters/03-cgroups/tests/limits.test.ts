import { describe, expect, test } from 'vitest';
import {
  checkResources,
  deviceList,
  parseList,
  parseSize,
  cpusToQuota,
  sharesToWeight,
  blkioToIoWeight,
} from '../index.ts';
import { v1Writes } from '../v1-limits.ts';
import { swapOnly, v2Writes } from '../v2-limits.ts';
import type { LinuxResources } from '../resources.ts';

/** `file=value` for each write, given what some files say now. */
const v1 = (resources: LinuxResources, now: Record<string, string> = {}): string[] =>
  v1Writes(resources, (_, file) => now[file]).map(({ file, value }) => `${file}=${value}`);
const v2 = (resources: LinuxResources, now: Record<string, string> = {}): string[] =>
  v2Writes(resources, (_, file) => now[file]).map(({ file, value }) => `${file}=${value}`);

describe('limits of v1', () => {
  test('nothing asked for is nothing written', () => {
    expect(v1({})).toEqual([]);
    expect(v1({ memory: { limit: 0 }, cpu: { shares: 0, quota: 0, cpus: '' }, pids: { limit: 0 } })).toEqual(
      [],
    );
  });

  test('memory and swap are written in the order that never has memory above both', () => {
    const both = { memory: { limit: 100, swap: 200 } };
    const memory = 'memory.limit_in_bytes=100';
    const swap = 'memory.memsw.limit_in_bytes=200';
    expect(v1(both, { 'memory.limit_in_bytes': '9223372036854771712' })).toEqual([memory, swap]);
    expect(v1(both, { 'memory.limit_in_bytes': '150' })).toEqual([swap, memory]);
    expect(v1({ memory: { limit: 100, swap: -1 } })).toEqual(['memory.memsw.limit_in_bytes=-1', memory]);
  });

  test('unlimited memory lifts the limit on both, where there is one', () => {
    expect(v1({ memory: { limit: -1 } }, { 'memory.memsw.limit_in_bytes': '5' })).toEqual([
      'memory.memsw.limit_in_bytes=-1',
      'memory.limit_in_bytes=-1',
    ]);
    expect(v1({ memory: { limit: -1 } })).toEqual(['memory.limit_in_bytes=-1']);
  });

  test('a longer period is written before the quota, a shorter one after it', () => {
    const now = { 'cpu.cfs_period_us': '100000' };
    expect(v1({ cpu: { quota: 300000, period: 200000 } }, now)).toEqual([
      'cpu.cfs_period_us=200000',
      'cpu.cfs_quota_us=300000',
    ]);
    expect(v1({ cpu: { quota: 10000, period: 20000 } }, now)).toEqual([
      'cpu.cfs_quota_us=10000',
      'cpu.cfs_period_us=20000',
    ]);
  });

  test('an unlimited number of processes is the word max', () => {
    expect(v1({ pids: { limit: 7 } })).toEqual(['pids.max=7']);
    expect(v1({ pids: { limit: -1 } })).toEqual(['pids.max=max']);
  });

  test('disk weights go to the scheduler that is there, rates to each device', () => {
    const blockIO = {
      weight: 300,
      throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1048576 }],
      throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 10 }],
    };
    const rates = ['blkio.throttle.read_bps_device=8:0 1048576', 'blkio.throttle.write_iops_device=8:16 10'];
    expect(v1({ blockIO })).toEqual(['blkio.bfq.weight=300', ...rates]);
    expect(v1({ blockIO }, { 'blkio.weight': '500' })).toEqual(['blkio.weight=300', ...rates]);
  });

  test('device rules are lines in order', () => {
    expect(
      v1({
        devices: [
          { allow: false, access: 'rwm' },
          { allow: true, type: 'c', access: 'm' },
          { allow: true, type: 'c', major: 136, minor: -1, access: 'rw' },
          { allow: true, type: 'b', major: 8, minor: 1 },
        ],
      }),
    ).toEqual([
      'devices.deny=a',
      'devices.allow=c *:* m',
      'devices.allow=c 136:* rw',
      'devices.allow=b 8:1 rwm',
    ]);
  });

  test('files of v2 are refused', () => {
    expect(() => v1({ unified: { 'memory.high': '1' } })).toThrow('unified names files of cgroup v2');
  });
});

describe('limits of v2', () => {
  test("v1's words become v2's", () => {
    expect(
      v2({
        memory: { limit: 100, reservation: 50, swap: 300 },
        cpu: { shares: 1024, quota: 50000, period: 200000, cpus: '0-1' },
        pids: { limit: -1 },
        hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
        rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 1000 } },
      }),
    ).toEqual([
      'memory.max=100',
      'memory.swap.max=200',
      'memory.low=50',
      'cpu.weight=39',
      'cpu.max=50000 200000',
      'cpuset.cpus=0-1',
      'pids.max=max',
      'hugetlb.2MB.max=0',
      'rdma.max=mlx5_1 hca_handle=3 hca_object=1000',
    ]);
  });

  test('what of quota and period is not given stays', () => {
    expect(v2({ cpu: { quota: 20000 } }, { 'cpu.max': 'max 50000' })).toEqual(['cpu.max=20000 50000']);
    expect(v2({ cpu: { period: 50000 } }, { 'cpu.max': '20000 100000' })).toEqual(['cpu.max=20000 50000']);
    expect(v2({ cpu: { quota: -1 } }, { 'cpu.max': '20000 50000' })).toEqual(['cpu.max=max 50000']);
  });

  test('swap is what is left of both when memory is taken away', () => {
    expect(swapOnly({ limit: 100, swap: 300 })).toBe('200');
    expect(swapOnly({ limit: 100, swap: 100 })).toBe('0');
    expect(swapOnly({ limit: 100 })).toBeUndefined();
    expect(swapOnly({ limit: 100, swap: -1 })).toBe(-1);
    expect(swapOnly({ limit: -1 })).toBe(-1);
    expect(swapOnly({ limit: -1, swap: 300 })).toBe(300);
    expect(() => swapOnly({ swap: 300 })).toThrow('give memory.limit too');
    expect(v2({ memory: { limit: 100, swap: 100 } })).toContain('memory.swap.max=0');
  });

  test('what v2 does not have is refused by name', () => {
    expect(() => v2({ memory: { disableOOMKiller: true } })).toThrow(
      'memory.disableOOMKiller is not there in cgroup v2',
    );
    expect(v2({ memory: { disableOOMKiller: false } })).toEqual([]);
  });

  test('where there is no swap, "none" and "any" are not written, and a number is', () => {
    const now = { 'memory.max': 'max' }; // and no memory.swap.max
    expect(v2({ memory: { limit: 100, swap: 100 } }, now)).toEqual(['memory.max=100']);
    expect(v2({ memory: { limit: 100, swap: -1 } }, now)).toEqual(['memory.max=100']);
    expect(v2({ memory: { limit: 100, swap: 300 } }, now)).toContain('memory.swap.max=200');
  });

  test('a limit below what is in use is refused only for those who ask for the check', () => {
    const now = { 'memory.current': '500', 'memory.max': 'max', 'memory.swap.max': 'max' };
    expect(v2({ memory: { limit: 100 } }, now)).toEqual(['memory.max=100']);
    expect(() => v2({ memory: { limit: 100, checkBeforeUpdate: true } }, now)).toThrow(
      'memory.limit 100 was refused: 500 bytes are in use',
    );
  });

  test('huge pages set aside are limited too, where they are counted apart', () => {
    const hugepageLimits = [{ pageSize: '2MB', limit: 4096 }];
    expect(v2({ hugepageLimits }, { 'hugetlb.2MB.rsvd.max': 'max' })).toEqual([
      'hugetlb.2MB.max=4096',
      'hugetlb.2MB.rsvd.max=4096',
    ]);
  });

  test('disk rates of one device are words on a line', () => {
    expect(
      v2({ blockIO: { weight: 500, throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 5 }] } }),
    ).toEqual(['io.weight=4950', 'io.max=8:0 wbps=5']);
  });

  test('unified is written as it is, last', () => {
    expect(v2({ unified: { 'memory.high': '12' }, pids: { limit: 3 } })).toEqual([
      'pids.max=3',
      'memory.high=12',
    ]);
  });
});

describe('a limit out of range', () => {
  test.each<[LinuxResources, string]>([
    [{ memory: { limit: -2 } }, 'invalid memory.limit -2'],
    [{ memory: { limit: 200, swap: 100 } }, 'invalid memory.swap 100'],
    [{ memory: { swappiness: 101 } }, 'invalid memory.swappiness 101'],
    [{ cpu: { shares: 1 } }, 'invalid cpu.shares 1'],
    [{ cpu: { period: 999 } }, 'invalid cpu.period 999'],
    [{ cpu: { cpus: '0;1' } }, 'invalid cpu.cpus "0;1"'],
    [{ pids: { limit: 1.5 } }, 'invalid pids.limit 1.5'],
    [{ blockIO: { weight: 9 } }, 'invalid blockIO.weight 9'],
    [{ hugepageLimits: [{ pageSize: '../x', limit: 1 }] }, 'invalid hugepageLimits pageSize "../x"'],
    [{ unified: { '../memory.max': '1' } }, 'invalid unified "../memory.max"'],
    [{ unified: { 'cgroup/x.y': '1' } }, 'invalid unified "cgroup/x.y"'],
    [{ blockIO: { weightDevice: [{ major: 8, minor: 0, weight: 1001 }] } }, 'weightDevice weight 1001'],
    [
      { blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0, rate: -1 }] } },
      'throttleReadBpsDevice rate -1',
    ],
    [
      { blockIO: { throttleWriteIOPSDevice: [{ major: -8, minor: 0, rate: 1 }] } },
      'throttleWriteIOPSDevice -8:0',
    ],
    [{ network: { classID: -1 } }, 'invalid network.classID -1'],
    [{ network: { priorities: [{ name: 'a/b', priority: 1 }] } }, 'network.priorities name "a/b"'],
    [{ rdma: { 'x y': { hcaHandles: 1 } } }, 'invalid rdma "x y"'],
    [{ rdma: { mlx5_0: { hcaObjects: -1 } } }, 'invalid rdma mlx5_0 hcaObjects -1'],
    [{ cpu: { realtimePeriod: -1 } }, 'invalid cpu.realtimePeriod -1'],
    [{ cpu: { quota: -2 } }, 'invalid cpu.quota -2'],
    [{ devices: [{ allow: true, type: 'x' }] }, 'invalid device type "x"'],
    [{ devices: [{ allow: true, access: 'rx' }] }, 'invalid device access "rx"'],
  ])('is refused with its place and its value: %j', (resources, message) => {
    expect(() => checkResources(resources)).toThrow(message);
  });
});

describe('device rules', () => {
  test('a new cgroup denies nothing', () => {
    expect(deviceList([])).toEqual({ allowAll: true, exceptions: [] });
  });

  test('denying all and allowing some leaves some', () => {
    expect(
      deviceList([
        { allow: true, type: 'c', major: 9, minor: 9 },
        { allow: false },
        { allow: true, type: 'c', major: 1, minor: 3, access: 'r' },
        { allow: true, type: 'c', major: 1, minor: 3, access: 'w' },
        { allow: true, type: 'b', access: 'm' },
        { allow: true, type: 'b', major: 8, minor: 0 },
        { allow: false, type: 'b', major: 8, minor: 0, access: 'w' },
      ]),
    ).toEqual({
      allowAll: false,
      exceptions: [
        { type: 'c', major: 1, minor: 3, access: 'rw' },
        { type: 'b', major: '*', minor: '*', access: 'm' },
        { type: 'b', major: 8, minor: 0, access: 'rm' },
      ],
    });
  });

  test('what is denied on open ground is an exception', () => {
    expect(deviceList([{ allow: false, type: 'c', major: 1, minor: 11 }])).toEqual({
      allowAll: true,
      exceptions: [{ type: 'c', major: 1, minor: 11, access: 'rwm' }],
    });
  });
});

describe('sizes', () => {
  test.each([
    ['1000', 1000],
    ['512m', 512 * 1024 ** 2],
    ['1.5G', 1.5 * 1024 ** 3],
    ['64KiB', 65536],
    ['10 kb', 10240],
    ['7b', 7],
    ['2t', 2 * 1024 ** 4],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(['', 'm', '-1', '5x', '1e9', '0x10', '1,5g', '5 m m'])('%j is no size', (text) => {
    expect(() => parseSize(text)).toThrow(`invalid size ${JSON.stringify(text)}`);
  });

  test.each(['8192p', '99999999999999999999'])('%s is more than the kernel counts', (text) => {
    expect(() => parseSize(text)).toThrow(`invalid size "${text}": the kernel counts up to 8191p`);
  });

  test.each([
    ['0-2,7', [0, 1, 2, 7]],
    ['3', [3]],
    ['5,1-2,2', [1, 2, 5]],
  ])('the list %s is %j', (text, numbers) => {
    expect(parseList(text)).toEqual(numbers);
  });

  test.each(['', '2-1', '0-8192', '1,,2', '-1', 'a'])('%j is no list of processors', (text) => {
    expect(() => parseList(text)).toThrow(`invalid list ${JSON.stringify(text)}`);
  });

  test('processors become time in a period', () => {
    expect(cpusToQuota(1.5)).toEqual({ quota: 150000, period: 100000 });
    expect(() => cpusToQuota(0.001)).toThrow('invalid number of processors 0.001');
    expect(() => cpusToQuota(NaN)).toThrow('invalid number of processors');
  });

  test('weights keep their ends', () => {
    expect([2, 1024, 262144].map(sharesToWeight)).toEqual([1, 39, 10000]);
    expect([10, 1000].map(blkioToIoWeight)).toEqual([1, 10000]);
  });
});
