import { describe, expect, test } from 'vitest';
import { completeHostConfig, mergeConfig, mergeEnv } from '../container-config.ts';

const id = 'c'.repeat(64);
const image = {
  Cmd: ['sh'],
  Entrypoint: ['/init'],
  Env: ['A=1', 'PATH=/bin'],
  WorkingDir: '/srv',
  User: 'web',
};

describe('a container’s configuration', () => {
  test('is the image’s where nothing else is said', () => {
    expect(mergeConfig({ Image: 'x' }, image, id)).toMatchObject({
      Cmd: ['sh'],
      Entrypoint: ['/init'],
      Env: ['A=1', 'PATH=/bin'],
      WorkingDir: '/srv',
      User: 'web',
      Hostname: 'cccccccccccc',
    });
  });

  test('a command replaces the image’s command, an entrypoint both', () => {
    expect(mergeConfig({ Cmd: ['ls'] }, image, id)).toMatchObject({ Entrypoint: ['/init'], Cmd: ['ls'] });
    expect(mergeConfig({ Entrypoint: ['/bin/ls'] }, image, id)).toMatchObject({
      Entrypoint: ['/bin/ls'],
      Cmd: null,
    });
    expect(mergeConfig({ Entrypoint: [''], Cmd: ['ls'] }, image, id)).toMatchObject({
      Entrypoint: null,
      Cmd: ['ls'],
    });
  });

  test('variables: the user’s value wins, a name alone takes the variable away', () => {
    expect(mergeEnv(['A=1', 'B=2', 'C=3'], ['B=x=y', 'A'])).toEqual(['B=x=y', 'C=3']);
  });

  test('refuses what cannot be, in Docker’s words', () => {
    expect(() => mergeConfig({}, {}, id)).toThrow('no command specified');
    expect(() => mergeConfig({ Cmd: ['x'], WorkingDir: 'rel' }, {}, id)).toThrow('absolute path');
    expect(() => mergeConfig({ Cmd: ['x'], StopSignal: 'NOPE' }, {}, id)).toThrow('Invalid signal: NOPE');
  });
});

describe('the host’s side', () => {
  const complete = (body: object) => completeHostConfig(body, 'myrunc');

  test('has Docker’s defaults', () => {
    expect(complete({ NetworkMode: 'default', MemorySwappiness: -1 })).toMatchObject({
      NetworkMode: 'bridge',
      MemorySwappiness: null,
      ShmSize: 64 << 20,
      IpcMode: 'private',
      Runtime: 'myrunc',
      RestartPolicy: { Name: 'no' },
    });
  });

  test('refuses limits that cannot be kept', () => {
    expect(() => complete({ Memory: 1 << 20 })).toThrow('Minimum memory limit allowed is 6MB');
    expect(() => complete({ Memory: 64 << 20, MemorySwap: 32 << 20 })).toThrow('memoryswap limit');
    expect(() => complete({ NanoCpus: 1e15 })).toThrow(/range of CPUs is from 0.01 to \d+.00/);
    expect(() => complete({ NanoCpus: 1e8, CpuQuota: 5000 })).toThrow('Conflicting options');
    expect(() => complete({ CpuPeriod: 5 })).toThrow('period');
  });

  test('refuses modes that do not exist, and what is not here yet', () => {
    expect(() => complete({ NetworkMode: 'mine' })).toThrow('network mine not found');
    expect(() => complete({ RestartPolicy: { Name: 'maybe' } })).toThrow("unknown policy 'maybe'");
    expect(() => complete({ AutoRemove: true, RestartPolicy: { Name: 'always' } })).toThrow('AutoRemove');
    expect(() => complete({ PortBindings: { '80/tcp': [] } })).toThrow('published ports');
  });
});
