import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BIN } from '../build.ts';
import { temporaryPlaces } from '../engine.ts';
import { startTestEngine, type TestEngine } from './harness.ts';

let t: TestEngine;
beforeAll(async () => void (t = await startTestEngine()));
afterAll(() => t?.stop());

/** Docker's exit status, what the error says, and that it says it in one line or two, without a stack trace. */
const mistakes: [what: string, args: string[], status: number, says: RegExp][] = [
  ['an unknown image', ['run', 'no-such-image'], 125, /no-such-image/],
  ['an invalid image name', ['run', 'Not/A:Valid:Name'], 125, /invalid reference format|must be lowercase/],
  [
    'a command that is not in the image',
    ['run', '--rm', 'busybox', 'no-such-command'],
    127,
    /"no-such-command": executable file not found in \$PATH/,
  ],
  ['a path that is not there', ['run', '--rm', 'busybox', '/no/such'], 127, /no such file or directory/],
  ['a command that is not executable', ['run', '--rm', 'busybox', '/etc/passwd'], 126, /permission denied/],
  ['a directory as the command', ['run', '--rm', 'busybox', '/etc'], 126, /is a directory|permission denied/],
  ['a flag that there is not', ['run', '--no-such-flag', 'busybox'], 125, /--no-such-flag/],
  ['a memory size without a number', ['run', '-m', 'lots', 'busybox'], 125, /lots/],
  ['a memory size too small', ['run', '-m', '4k', 'busybox'], 125, /[Mm]inimum memory limit/],
  ['processors below zero', ['run', '--cpus', '-1', 'busybox', 'true'], 125, /cpus|CPU/i],
  ['a number of processes that is none', ['run', '--pids-limit', 'some', 'busybox'], 125, /some/],
  ['a volume with a relative container path', ['run', '-v', '/tmp:here', 'busybox'], 125, /here/],
  [
    'a tmpfs option that there is not',
    ['run', '--rm', '--tmpfs', '/x:colour=blue', 'busybox', 'true'],
    125,
    /invalid tmpfs option "colour=blue" for \/x/,
  ],
  ['a network that there is not', ['run', '--rm', '--network', 'no-such-net', 'busybox'], 125, /no-such-net/],
  ['a user that there is not', ['run', '--rm', '-u', 'nobody-here', 'busybox'], 125, /nobody-here/],
  ['a container that there is not', ['logs', 'no-such-container'], 1, /No such container: no-such-container/],
  [
    'exec in a container that there is not',
    ['exec', 'no-such-container', 'true'],
    1,
    /No such container: no-such-container/,
  ],
  ['a command that there is not', ['frobnicate'], 1, /frobnicate/],
  ['too few arguments', ['run'], 1, /requires at least 1 argument|missing required argument/],
];

describe('one clear error, Docker’s exit status and nothing half-made for', () => {
  test.each(mistakes)('%s', (_what, args, status, says) => {
    const before = t.type('ps -aq --no-trunc').stdout;
    const result = t.mydocker(args);
    const lines = result.stderr
      .trim()
      .split('\n')
      .filter((line) => line && !/^(Run|See) '|^Unable to find image|^Usage:/i.test(line.trim()));
    expect(result.stderr).toMatch(says);
    expect(result.stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
    expect(lines.length, result.stderr).toBeLessThanOrEqual(2);
    expect(result.status).toBe(status);
    // Docker keeps a container whose command could not be started, unless it was to be removed at its end.
    expect(t.type('ps -aq --no-trunc').stdout).toBe(before);
  });

  test('a name in use', () => {
    const name = t.name();
    t.type(`run -d --name ${name} busybox sleep 1000`);
    const result = t.type(`run --name ${name} busybox true`);
    expect(result.status).toBe(125);
    expect(result.stderr).toContain(`The container name "/${name}" is already in use`);
    t.type(`rm -f ${name}`);
  });

  test('a daemon that does not run', () => {
    const socket = join(t.root, 'nobody.sock');
    const result = spawnSync(join(BIN, 'mydocker'), ['-H', `unix://${socket}`, 'ps'], {
      encoding: 'utf8',
      timeout: 100_000,
    });
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(`Cannot connect to the mydocker daemon at unix://${socket}`);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
  });

  test.each(['mydockerd', 'mycontainerd'])('%s started by someone who is not root', (program) => {
    // The programs are read by everyone, but the folder of the repository may not be: node reads the file here.
    const result = spawnSync(join(BIN, program), [], {
      encoding: 'utf8',
      timeout: 100_000,
      uid: 65534,
      gid: 65534,
      cwd: '/',
    });
    expect(result.status).toBe(1);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
    expect(result.stderr).toMatch(/root/);
  });

  test('a machine without nft: mydockerd says which package, and takes back what it had made', () => {
    const places = temporaryPlaces('mydocker-missing');
    const bridge = `mdm${randomBytes(3).toString('hex')}`;
    const daemon = [join(BIN, 'mydockerd'), '--data-root', places.dataRoot, '--exec-root', places.execRoot];
    const result = spawnSync(
      'unshare',
      [
        ...['--mount', 'sh', '-c', 'mount -t tmpfs none /usr/sbin && exec "$@"', 'sh'],
        ...[...daemon, '--bridge', bridge, '--bip', '10.63.255.1/30', '--iptables=true'],
      ],
      { encoding: 'utf8', timeout: 100_000 },
    );
    expect(result.status).toBe(1);
    const said = result.stderr.split('\n').filter((line) => line.startsWith('mydockerd: '));
    expect(said).toEqual([expect.stringContaining('nft: no such program: install the package nftables')]);
    expect(existsSync(`/sys/class/net/${bridge}`)).toBe(false);
    expect(existsSync(join(places.execRoot, 'containerd', 'containerd.sock'))).toBe(false);
    places.remove();
  });

  test.each([
    ['a read-only file system', '/proc/sys/nowhere/data', /--data-root .*: (EACCES|EROFS|ENOENT|EPERM)/],
    ['a file', '/etc/passwd', /--data-root \/etc\/passwd: ENOTDIR/],
  ])('a data-root on %s', (_what, dataRoot, says) => {
    const execRoot = join(t.root, 'other-run');
    const result = spawnSync(join(BIN, 'mydockerd'), ['--data-root', dataRoot, '--exec-root', execRoot], {
      encoding: 'utf8',
      timeout: 100_000,
    });
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(says);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
    expect(existsSync(execRoot)).toBe(false);
  });

  test('a second mydockerd in the same places', () => {
    const { dataRoot, execRoot } = t.engine;
    const result = spawnSync(join(BIN, 'mydockerd'), ['--data-root', dataRoot, '--exec-root', execRoot], {
      encoding: 'utf8',
      timeout: 100_000,
    });
    expect(result.status).toBe(1);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
    expect(t.type('ps').status).toBe(0);
  });
});
