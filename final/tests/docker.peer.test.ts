import { spawn, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, startTestEngine, type Outcome, type TestEngine } from './harness.ts';

// The stock docker client drives mydockerd. Needs `docker` on the PATH.

let t: TestEngine;
beforeAll(async () => void (t = await startTestEngine()));
afterAll(() => t?.stop());

const environment = { PATH: process.env['PATH'], HOME: '/nonexistent', DOCKER_BUILDKIT: '0' };

function docker(args: string[], input = ''): Outcome {
  const result = spawnSync('docker', ['-H', `unix://${t.engine.socket}`, ...args], {
    input,
    encoding: 'utf8',
    env: environment,
    timeout: 50_000,
  });
  if (result.error) throw result.error;
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}
const type = (line: string): Outcome => docker(line.split(' '));

describe('the stock docker client', () => {
  test('version and info tell of both sides', () => {
    expect(type('version').stdout).toMatch(/Client:[^]*Server:[^]*Engine:/);
    expect(type('version').status).toBe(0);
    const info = type('info');
    expect(info.status).toBe(0);
    expect(info.stdout).toMatch(/Server:[^]*Storage Driver: overlay/);
    expect(info.stderr).toBe('');
  });

  test('run: output, input and exit status', () => {
    expect(docker(['run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 3'])).toEqual({
      status: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect(docker(['run', '-i', '--rm', 'busybox', 'wc', '-c'], 'x'.repeat(100_000)).stdout.trim()).toBe(
      '100000',
    );
    expect(docker(['run', '--rm', 'busybox', 'seq', '100000']).stdout.split('\n')).toHaveLength(100_001);
  });

  test('run: 125, 126 and 127', () => {
    const unknown = type('run --rm --pull never no-such-image true');
    expect(unknown.status).toBe(125);
    expect(unknown.stderr).toContain('No such image: no-such-image:latest');
    expect(type('run --rm busybox /etc/passwd').status).toBe(126);
    const missing = type('run --rm busybox no-such-command');
    expect(missing.status).toBe(127);
    expect(missing.stderr).toContain('executable file not found in $PATH');
  });

  test('run -d, ps, logs, exec, inspect, stop, start, rm', async () => {
    const name = t.name();
    const started = docker([
      'run',
      '-d',
      '--name',
      name,
      '-m',
      '32m',
      'busybox',
      'sh',
      '-c',
      'trap "exit 4" TERM; echo up; while true; do usleep 10000; done',
    ]);
    expect(started.stdout).toMatch(/^[0-9a-f]{64}\n$/);
    await eventually('it is up', () => type(`logs ${name}`).stdout === 'up\n');
    expect(type('ps').stdout).toMatch(new RegExp(`busybox .*Up .*${name}`));
    expect(type(`ps --filter name=${name} -q`).stdout.trim()).toBe(started.stdout.slice(0, 12));
    expect(docker(['exec', name, 'sh', '-c', 'echo in; exit 6'])).toEqual({
      status: 6,
      stdout: 'in\n',
      stderr: '',
    });
    expect(docker(['exec', '-i', name, 'cat'], 'piped').stdout).toBe('piped');
    expect(type(`inspect -f {{.State.Status}}/{{.HostConfig.Memory}} ${name}`).stdout).toBe(
      `running/${32 * 1024 * 1024}\n`,
    );
    expect(type(`top ${name}`).stdout).toContain('usleep');
    expect(type(`stop ${name}`).stdout).toBe(`${name}\n`);
    expect(type(`inspect -f {{.State.ExitCode}} ${name}`).stdout).toBe('4\n');
    expect(type(`start ${name}`).status).toBe(0);
    expect(type(`rm ${name}`).status).toBe(1);
    expect(type(`rm -f ${name}`)).toEqual({ status: 0, stdout: `${name}\n`, stderr: '' });
    expect(type('ps -aq').stdout).toBe('');
  });

  test('run -it: a terminal with a size, and its end', async () => {
    const script = spawn(
      'script',
      ['-qec', `docker -H unix://${t.engine.socket} run -it --rm busybox sh`, '/dev/null'],
      { env: environment, timeout: 110_000 },
    );
    let screen = '';
    script.stdout.on('data', (data: Buffer) => (screen += data.toString()));
    const closed = new Promise((resolve) => script.once('close', resolve));
    await eventually(`there is a prompt: ${screen}`, () => screen.includes('/ # '));
    script.stdin.write('tty; echo $((6*7)); exit 5\n');
    expect(await closed).toBe(5);
    expect(screen).toContain('/dev/pts/0');
    expect(screen).toContain('42\r\n');
  });

  test('images, inspect of an image, tag, rmi', () => {
    expect(type('images').stdout).toMatch(/^busybox +latest +[0-9a-f]{12}/m);
    expect(type('image inspect -f {{.Os}}/{{.RootFS.Type}} busybox').stdout).toBe('linux/layers\n');
    expect(type('tag busybox copy:1').status).toBe(0);
    expect(type('images -q copy').stdout).toBe(type('images -q busybox').stdout);
    expect(type('rmi copy:1').stdout).toContain('Untagged: copy:1');
    expect(type('run --rm busybox true').status).toBe(0);
  });

  test('a container on the bridge reaches another by address and the host by the gateway', () => {
    const name = t.name();
    docker([
      'run',
      '-d',
      '--name',
      name,
      'busybox',
      'sh',
      '-c',
      'echo found > /index.html; httpd -f -p 80 -h /',
    ]);
    const [address, gateway] = docker([
      'inspect',
      '-f',
      '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}}',
      name,
    ])
      .stdout.trim()
      .split(' ');
    const fetched = docker([
      'run',
      '--rm',
      'busybox',
      'sh',
      '-c',
      `for i in $(seq 200); do wget -q -O - http://${address}/ && exit; sleep 0.1; done`,
    ]);
    expect(fetched.stdout).toBe('found\n');
    expect(docker(['run', '--rm', 'busybox', 'ping', '-c', '1', '-W', '20', gateway!]).stdout).toContain(
      '1 packets received',
    );
    type(`rm -f ${name}`);
  });
});
