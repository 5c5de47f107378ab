import { describe, expect, it } from 'vitest';
import { parseOptions, UsageError } from '../options.ts';
import { defaultSpec, rootlessSpec } from '../spec.ts';
import { ConfigError } from '../config-checks.ts';
import { validateSpec } from '../validate.ts';
import { logLine } from '../log.ts';
import { sysctlNamespace } from '../sysctl.ts';

describe('config.json', () => {
  it('passes as runc spec and we ourselves write it', () => {
    expect(() => validateSpec(defaultSpec())).not.toThrow();
    expect(() => validateSpec(rootlessSpec(1000, 1000))).not.toThrow();
    expect(() => validateSpec({ ...defaultSpec(), 'x-unknown': { any: 'thing' } })).not.toThrow();
  });

  it.each([
    [{ ociVersion: 1 }, 'ociVersion: expected a version 1.x.y of the OCI runtime specification, found 1'],
    [{ root: undefined }, 'root: expected an object, it is missing'],
    [
      { process: { cwd: 'relative', args: ['sh'] } },
      'process.cwd: expected an absolute path, found "relative"',
    ],
    [{ process: { cwd: '/', args: [] } }, 'process.args: expected at least one element, found []'],
    [{ process: { cwd: '/', args: ['a\0b'] } }, 'process.args[0]: expected text without NUL'],
    [
      { process: { cwd: '/', args: ['a'], user: { uid: -1, gid: 0 } } },
      'process.user.uid: expected a whole number from 0',
    ],
    [{ mounts: [{ destination: '/a', options: 'ro' }] }, 'mounts[0].options: expected a list, found "ro"'],
    [{ hooks: { prestart: [{ path: 'x' }] } }, 'hooks.prestart[0].path: expected an absolute path'],
    [{ linux: { namespaces: [{ type: 'mnt' }] } }, 'linux.namespaces[0].type: expected one of'],
    [{ linux: { namespaces: [{ type: 'pid' }, { type: 'pid' }] } }, 'linux.namespaces: "pid" is there twice'],
    [{ linux: { timeOffsets: { realtime: { secs: 1 } } } }, 'linux.timeOffsets: "realtime" is none of'],
    [{ linux: { timeOffsets: { boottime: { nanosecs: -1 } } } }, 'linux.timeOffsets["boottime"].nanosecs'],
    [{ linux: { personality: { domain: 'BSD' } } }, 'linux.personality.domain: expected one of "LINUX"'],
    [{ linux: { netDevices: {} } }, 'linux.netDevices: this runtime does not do that yet'],
    [{ linux: { intelRdt: { closID: 'x' } } }, 'linux.intelRdt:'],
    [{ linux: { mountLabel: 'a:b:c' } }, 'linux.mountLabel:'],
    [
      { process: { ...defaultSpec().process, ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 8 } } },
      'process.ioPriority.priority',
    ],
    [
      { process: { ...defaultSpec().process, scheduler: { policy: 'SCHED_OTHER', priority: 5 } } },
      'process.scheduler.priority',
    ],
    [
      { process: { ...defaultSpec().process, execCPUAffinity: { initial: '3-1' } } },
      'process.execCPUAffinity.initial: "3-1" is no list',
    ],
    [{ linux: { seccomp: { defaultAction: 5 } } }, 'linux.seccomp.defaultAction: expected text, found 5'],
  ])('is refused with the property that is wrong: %j', (change, message) => {
    const check = (): void => validateSpec({ ...defaultSpec(), ...change });
    expect(check).toThrow(ConfigError);
    expect(check).toThrow(message);
  });

  it.each([null, 5, 'text', [], true])('is refused when it is no object: %j', (value) => {
    expect(() => validateSpec(value)).toThrow(/the file: expected an object/);
  });
});

describe('the command line', () => {
  const table = {
    bundle: { takes: 'text', short: 'b', help: '' },
    force: { takes: 'nothing', help: '' },
    n: { takes: 'number', help: '' },
    env: { takes: 'list', short: 'e', help: '' },
  } as const;

  it('takes options in every spelling that runc takes', () => {
    for (const argv of [['--bundle', 'x'], ['--bundle=x'], ['-bundle', 'x'], ['-b', 'x'], ['-b=x']])
      expect(parseOptions(table, argv, true)).toEqual({ options: { bundle: 'x' }, rest: [] });
    expect(parseOptions(table, ['id', '--force', '-e', 'A', '-e', 'B=--c'], true)).toEqual({
      options: { force: true, env: ['A', 'B=--c'] },
      rest: ['id'],
    });
  });

  it('leaves what follows the first word to the command, where words are one', () => {
    expect(parseOptions(table, ['--force', 'id', 'ls', '--force', '--', '-b'], false).rest).toEqual([
      'id',
      'ls',
      '--force',
      '--',
      '-b',
    ]);
    expect(parseOptions(table, ['--', '--force'], true).rest).toEqual(['--force']);
  });

  it('refuses unknown options, missing and wrong values', () => {
    expect(() => parseOptions(table, ['--nope'], true)).toThrow(UsageError);
    expect(() => parseOptions(table, ['--bundle'], true)).toThrow('flag needs an argument: -bundle');
    expect(() => parseOptions(table, ['--n', '1.5'], true)).toThrow('expected a whole number');
    expect(() => parseOptions(table, ['--__proto__'], true)).toThrow('not defined');
  });
});

describe('what is logged', () => {
  const time = new Date('2024-02-03T04:05:06.789Z');
  it('has the shape of logrus, as JSON and as text', () => {
    expect(logLine('json', 'error', 'a "b"', time)).toBe(
      '{"level":"error","msg":"a \\"b\\"","time":"2024-02-03T04:05:06Z"}\n',
    );
    expect(logLine('text', 'error', 'a "b"', time)).toBe(
      'time="2024-02-03T04:05:06Z" level=error msg="a \\"b\\""\n',
    );
  });
});

describe('a setting of the kernel', () => {
  it('belongs to a namespace, or to the machine', () => {
    expect(
      [
        'net.ipv4.ip_forward',
        'kernel.shmmax',
        'fs.mqueue.msg_max',
        'vm.swappiness',
        'network.x',
        'net/ipv4/conf/eth0.1/x',
      ].map(sysctlNamespace),
    ).toEqual(['network', 'ipc', 'ipc', undefined, undefined, 'network']);
  });
});
