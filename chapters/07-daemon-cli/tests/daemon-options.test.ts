import { describe, expect, test } from 'vitest';
import { daemonEnvironment, parseDaemonOptions } from '../daemon-options.ts';

const parse = (args: string[], env: Record<string, string> = {}) => parseDaemonOptions(args, env);

describe('mydockerd’s command line', () => {
  test('has Docker’s places with my before the name', () => {
    expect(parse([])).toMatchObject({
      dataRoot: '/var/lib/mydocker',
      execRoot: '/run/mydocker',
      socket: '/run/mydocker/mydocker.sock',
      pidfile: '/run/mydocker/mydocker.pid',
      bridge: 'mydocker0',
    });
  });
  test('places move by flag and by environment, the flag before the environment', () => {
    const env = { MYDOCKER_DATA_ROOT: '/e/data', MYDOCKER_EXEC_ROOT: '/e/run' };
    expect(parse(['--data-root', '/f'], env)).toMatchObject({
      dataRoot: '/f',
      socket: '/e/run/mydocker.sock',
    });
    expect(parse(['-H', 'unix:///x/y.sock'])).toMatchObject({ socket: '/x/y.sock' });
  });
  test('the firewall is ours unless said otherwise', () => {
    expect(parse([])).toMatchObject({ iptables: true });
    expect(parse(['--iptables=false'])).toMatchObject({ iptables: false });
    expect(parse([], { MYDOCKER_IPTABLES: 'false' })).toMatchObject({ iptables: false });
    expect(parse(['--iptables=true'], { MYDOCKER_IPTABLES: 'false' })).toMatchObject({ iptables: true });
  });
  test('whoever starts a daemon hands on what the environment says to it, and nothing else', () => {
    const all = { MYDOCKER_IPTABLES: 'false', NODE_OPTIONS: '--inspect', HOME: '/h' };
    expect(daemonEnvironment(all)).toEqual({ MYDOCKER_IPTABLES: 'false' });
  });
  test.each([
    [['--iptables=maybe'], 'give true or false'],
    [['--nonsense'], '--nonsense'],
    [['--data-root', 'rel'], 'give an absolute path'],
    [['-H', 'tcp://1.2.3.4:1'], 'give unix:///absolute/path'],
    [['--bip', '999.1.1.1/16'], 'give an IPv4 address and a length'],
    [['--bridge', 'far-too-long-a-name'], 'invalid interface name'],
    [['-H', `unix:///${'x'.repeat(110)}`], 'at most 107 bytes'],
  ])('%j is refused', (args, why) => {
    expect(() => parse(args)).toThrow(why);
  });
  test('--help is no error', () => {
    expect(parse(['--help'])).toBe('help');
  });
});
