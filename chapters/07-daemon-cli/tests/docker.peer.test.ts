import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isRunning, kill, SIGNALS } from '../../01-processes/index.ts';
import { linkExists, listRuleset } from '../../02-namespaces/index.ts';
import { demoEngine, type DemoEngine } from '../demo-engine.ts';

let engine: DemoEngine;
let daemon: number;
beforeAll(async () => {
  const root = mkdtempSync(join(tmpdir(), '07d-peer-'));
  chmodSync(root, 0o755);
  engine = await demoEngine(root);
  daemon = await engine.start();
  expect(docker('load', '-i', engine.archive).stdout).toBe('Loaded image: busybox:latest\n');
});
afterAll(async () => {
  const all = docker('ps', '-aq').stdout.split('\n').filter(Boolean);
  if (all.length > 0) docker('rm', '-f', ...all);
  await engine.stop();
});

const environment = () => ({
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  DOCKER_HOST: `unix://${engine.socket}`,
});

function docker(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return dockerWith('', ...args);
}
function dockerWith(input: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync('docker', args, {
    input,
    encoding: 'utf8',
    timeout: 40_000,
    env: environment(),
    maxBuffer: 64 << 20,
  });
  return { status, stdout, stderr };
}
const name = (): string => `peer-${randomBytes(4).toString('hex')}`;
const inspect = (format: string, container: string): string =>
  docker('inspect', '-f', format, container).stdout.trim();

async function eventually(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !holds(); await sleep(50))
    if (Date.now() > end) throw new Error(`it did not come about that ${what}`);
}

describe('the stock docker client', () => {
  test('version and info show the engine', () => {
    expect(docker('version', '--format', '{{.Server.Version}} {{.Server.APIVersion}}').stdout).toBe(
      '0.1.0 1.50\n',
    );
    expect(docker('info', '--format', '{{.Driver}} {{.LiveRestoreEnabled}}').stdout).toBe('overlay2 true\n');
  });

  test('an older client is served too', () => {
    const { stdout } = spawnSync('docker', ['ps', '-q'], {
      encoding: 'utf8',
      timeout: 40_000,
      env: { ...environment(), DOCKER_API_VERSION: '1.24' },
    });
    expect(stdout).toBe('');
  });

  test('run gives each stream on its own, and the status of the command', () => {
    expect(docker('run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 37')).toEqual({
      status: 37,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  test('run -i passes standard input on, and its end, byte for byte', () => {
    const input = `first\n${'x'.repeat(300_000)}\nlast\n`;
    expect(dockerWith(input, 'run', '-i', '--rm', 'busybox', 'cat').stdout).toBe(input);
  });

  test('no line of a large output is lost', () => {
    const lines = docker('run', '--rm', 'busybox', 'seq', '1', '100000').stdout.trimEnd().split('\n');
    expect([lines.length, lines.at(-1)]).toEqual([100_000, '100000']);
  });

  test('run -it gives a terminal of the size of the client’s', async () => {
    // The client tells its size when it has heard of the start: the container may have run for a while.
    const script = `for i in $(seq 300); do [ "$(stty size)" = "33 77" ] && break; sleep 0.1; done; stty size; tty; read word; echo "got $word"`;
    const command = `stty rows 33 cols 77; docker run --rm -it busybox sh -c '${script}'`;
    const client = spawn('script', ['-qec', command, '/dev/null'], {
      env: environment(),
      timeout: 100_000,
    });
    let out = '';
    client.stdout.on('data', (data: Buffer) => (out += data.toString()));
    await eventually('the terminal is there', () => out.includes('/dev/pts/0'));
    client.stdin.write('hello\n');
    const status = await new Promise((resolve) => client.on('close', resolve));
    expect(out).toContain('33 77');
    expect(out).toContain('got hello');
    expect(status).toBe(0);
  });

  test('Ctrl-C in a terminal reaches what runs there, and its status comes back', async () => {
    const script = 'trap "exit 41" INT; echo ready; while true; do sleep 0.1; done';
    const client = spawn('script', ['-qec', `docker run --rm -it busybox sh -c '${script}'`, '/dev/null'], {
      env: environment(),
      timeout: 100_000,
    });
    let out = '';
    client.stdout.on('data', (data: Buffer) => (out += data.toString()));
    await eventually('it is ready', () => out.includes('ready'));
    client.stdin.write('\x03');
    expect(await new Promise((resolve) => client.on('close', resolve))).toBe(41);
  });

  test('a command that cannot be run: Docker’s statuses, and nothing left', () => {
    const before = docker('ps', '-aq').stdout;
    const missing = docker('run', '--rm', 'busybox', 'nosuch');
    expect(missing.status).toBe(127);
    expect(missing.stderr).toContain('exec: "nosuch": executable file not found in $PATH');
    expect(docker('run', '--rm', 'busybox', '/etc/passwd').status).toBe(126);
    expect(docker('run', '--rm', '-u', 'mallory', 'busybox').status).toBe(125);
    expect(docker('ps', '-aq').stdout).toBe(before);
  });

  test('refusals are Docker’s', () => {
    const container = name();
    docker('create', '--name', container, 'busybox');
    const refused = (...args: string[]): string => {
      const { status, stderr } = docker(...args);
      expect(status).not.toBe(0);
      return stderr;
    };
    expect(refused('run', '--name', container, 'busybox')).toContain(
      `Conflict. The container name "/${container}" is already in use`,
    );
    expect(refused('run', '--pull', 'never', 'nosuch:1')).toContain('No such image: nosuch:1');
    expect(refused('create', '-m', '1m', 'busybox')).toContain('Minimum memory limit allowed is 6MB');
    expect(refused('logs', 'nobody')).toContain('No such container: nobody');
    expect(refused('exec', container, 'true')).toContain('is not running');
    docker('rm', container);
  });

  test('ps, logs, exec, inspect, stop, rm', async () => {
    const container = name();
    expect(
      docker(
        'run',
        '-d',
        '--name',
        container,
        'busybox',
        'sh',
        '-c',
        'trap "echo bye; exit 5" TERM; echo up; while true; do sleep 0.1; done',
      ).status,
    ).toBe(0);
    expect(docker('ps', '--format', '{{.Image}} {{.State}}', '-f', `name=${container}`).stdout).toBe(
      'busybox running\n',
    );
    await eventually('it is up', () => docker('logs', container).stdout === 'up\n');
    const follower = spawn('docker', ['logs', '-f', container], { env: environment() });
    let followed = '';
    follower.stdout.on('data', (data: Buffer) => (followed += data.toString()));
    expect(
      docker(
        'exec',
        '-e',
        'A=b',
        '-w',
        '/tmp',
        '-u',
        '5',
        container,
        'sh',
        '-c',
        'echo $A; pwd; id -u; exit 9',
      ),
    ).toEqual({
      status: 9,
      stdout: 'b\n/tmp\n5\n',
      stderr: '',
    });
    expect(dockerWith('typed', 'exec', '-i', container, 'cat').stdout).toBe('typed');
    expect(docker('exec', container, 'nosuch').status).toBe(127);
    expect(docker('rm', container).stderr).toContain('running container');
    expect(docker('stop', container).stdout).toBe(`${container}\n`);
    expect(inspect('{{.State.Status}} {{.State.ExitCode}}', container)).toBe('exited 5');
    await new Promise((resolve) => follower.on('close', resolve));
    expect(followed).toBe('up\nbye\n');
    expect(docker('rm', container).status).toBe(0);
  });

  test('stop kills what does not listen, after the grace period', () => {
    const container = name();
    docker(
      'run',
      '-d',
      '--name',
      container,
      'busybox',
      'sh',
      '-c',
      'trap "" TERM; while true; do sleep 0.1; done',
    );
    docker('stop', '-t', '1', container);
    expect(inspect('{{.State.ExitCode}}', container)).toBe('137');
    docker('rm', container);
  });

  test('a container reaches another by its address, and the host by the gateway', () => {
    const container = name();
    docker('run', '-d', '--name', container, 'busybox', 'sh', '-c', 'while true; do sleep 1; done');
    const [address, gateway] = inspect(
      '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}}',
      container,
    ).split(' ');
    expect(docker('run', '--rm', 'busybox', 'ping', '-c1', '-W20', address!).status).toBe(0);
    expect(docker('run', '--rm', 'busybox', 'ping', '-c1', '-W20', gateway!).status).toBe(0);
    docker('rm', '-f', container);
  });

  test('volumes keep what is written into them; --rm takes anonymous ones away', () => {
    const volume = name();
    docker('run', '--rm', '-v', `${volume}:/data`, 'busybox', 'sh', '-c', 'echo kept > /data/x');
    expect(docker('run', '--rm', '-v', `${volume}:/data:ro`, 'busybox', 'cat', '/data/x').stdout).toBe(
      'kept\n',
    );
    docker('run', '--rm', '-v', '/data', 'busybox', 'true');
    expect(docker('volume', 'ls', '-q').stdout).toBe(`${volume}\n`);
    docker('volume', 'rm', volume);
  });
});

describe('what no daemon is needed for', () => {
  test('a container goes on when both daemons are killed; they find it again, and its log has no gap', async () => {
    const container = name();
    docker(
      'run',
      '-d',
      '--name',
      container,
      'busybox',
      'sh',
      '-c',
      'i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done',
    );
    const pid = Number(inspect('{{.State.Pid}}', container));
    await eventually('it counts', () => docker('logs', container).stdout.includes('5\n'));
    kill(daemon, SIGNALS['SIGKILL']!);
    await eventually('the daemon is gone', () => !isRunning(daemon));
    kill(engine.supervisor()!, SIGNALS['SIGKILL']!);
    await sleep(300);
    expect(isRunning(pid)).toBe(true);
    daemon = await engine.start();
    expect(inspect('{{.State.Status}} {{.State.Pid}}', container)).toBe(`running ${pid}`);
    // And the other order: the supervisor alone, under a daemon that lives.
    kill(engine.supervisor()!, SIGNALS['SIGKILL']!);
    await eventually('commands work again', () => docker('exec', container, 'true').status === 0);
    const lines = docker('logs', container).stdout.trimEnd().split('\n').map(Number);
    expect(lines.length).toBeGreaterThan(5);
    expect(lines).toEqual(lines.map((_, index) => index + 1));
    docker('stop', '-t', '0', container);
    expect(inspect('{{.State.Status}} {{.State.ExitCode}}', container)).toBe('exited 137');
    docker('rm', container);
  });

  test('a container that ends while no daemon runs has its status and its last words', async () => {
    const container = name();
    const script = 'trap "echo last; exit 7" TERM; echo up; while true; do usleep 10000; done';
    docker('run', '-d', '--name', container, 'busybox', 'sh', '-c', script);
    const pid = Number(inspect('{{.State.Pid}}', container));
    await eventually('it is up', () => docker('logs', container).stdout === 'up\n');
    kill(daemon, SIGNALS['SIGKILL']!);
    await eventually('the daemon is gone', () => !isRunning(daemon));
    kill(pid, SIGNALS['SIGTERM']!);
    await eventually('it has ended', () => !isRunning(pid));
    daemon = await engine.start();
    // Its shim tells of it, if it has not yet.
    await eventually('its end is known', () => inspect('{{.State.Status}}', container) === 'exited');
    expect(inspect('{{.State.ExitCode}}', container)).toBe('7');
    expect(docker('logs', container).stdout).toBe('up\nlast\n');
    docker('rm', container);
  });

  test('a second daemon in the same place is refused in one line', () => {
    const { status, stderr } = spawnSync(
      join(engine.bin, 'mydockerd'),
      ['--data-root', engine.dataRoot, '--exec-root', engine.execRoot, '--bridge', engine.bridge],
      { encoding: 'utf8', timeout: 40_000 },
    );
    expect(status).toBe(1);
    expect(stderr).toBe(
      `mydockerd: ${engine.dataRoot} is in use by another mydockerd: give this one a --data-root of its own\n`,
    );
  });

  test('a user who is not root is told what to do', () => {
    const { status, stderr } = spawnSync(
      'setpriv',
      ['--reuid=65534', '--clear-groups', process.execPath, join(engine.bin, 'mydockerd')],
      { encoding: 'utf8', timeout: 40_000 },
    );
    expect(status).toBe(1);
    expect(stderr).toMatch(/^mydockerd: .*root.*\n$/);
  });

  test('ended well with no container running, it takes its bridge, rules and supervisor with it', async () => {
    expect(docker('ps', '-q').stdout).toBe('');
    expect(statSync(engine.socket).mode & 0o777).toBe(0o660);
    const supervisor = engine.supervisor()!;
    kill(daemon, SIGNALS['SIGTERM']!);
    await eventually('it is gone', () => !isRunning(daemon));
    expect(isRunning(supervisor)).toBe(false);
    expect(linkExists(engine.bridge)).toBe(false);
    expect(listRuleset().chains.filter(({ table }) => table === engine.bridge)).toEqual([]);
    expect(existsSync(engine.socket)).toBe(false);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(engine.execRoot);
    expect(readdirSync(join(engine.dataRoot, 'containers'))).toEqual([]);
    daemon = await engine.start();
    expect(docker('images', '--format', '{{.Repository}}').stdout).toBe('busybox\n');
  });
});
