import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCgroup } from '../../chapters/03-cgroups/index.ts';
import { startTestEngine, type TestEngine } from './harness.ts';

let t: TestEngine;
beforeAll(async () => void (t = await startTestEngine()));
afterAll(() => t?.stop());

describe('mydocker run', () => {
  test('prints what the command prints, each stream on its own', () => {
    expect(t.mydocker(['run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2'])).toEqual({
      status: 0,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  test('ends with the status of the command', () => {
    expect(t.mydocker(['run', '--rm', 'busybox', 'sh', '-c', 'exit 37']).status).toBe(37);
    expect(t.mydocker(['run', '--rm', 'busybox', 'sh', '-c', "sh -c 'kill -9 $$'; exit $?"]).status).toBe(
      137,
    );
  });

  test('passes standard input on, and its end, byte for byte', () => {
    const input = `first\n${'x'.repeat(300_000)}\nlast\n`;
    expect(t.mydocker(['run', '-i', '--rm', 'busybox', 'cat'], { input }).stdout).toBe(input);
  });

  test('loses nothing of a large output', () => {
    const { stdout } = t.mydocker(['run', '--rm', 'busybox', 'seq', '1', '200000']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBe(200_000);
    expect(lines.at(-1)).toBe('200000');
  });

  test('-e, -w, -u and --hostname reach the process', () => {
    const { stdout } = t.mydocker(
      [
        'run',
        '--rm',
        '-e',
        'COLOUR=blue green',
        '-w',
        '/some/where',
        '-u',
        '1234:4321',
        '--hostname',
        'kitchen',
        'busybox',
      ].concat(['sh', '-c', 'echo "$COLOUR"; pwd; id -u; id -g; hostname; cat /etc/hostname']),
    );
    expect(stdout).toBe('blue green\n/some/where\n1234\n4321\nkitchen\nkitchen\n');
  });

  test('-v shows a directory of the host, for writing or only for reading', () => {
    const shared = join(t.root, 'shared');
    mkdirSync(shared);
    writeFileSync(join(shared, 'a'), 'from the host');
    const { stdout } = t.mydocker(
      ['run', '--rm', '-v', `${shared}:/rw`, '-v', `${shared}:/ro:ro`, 'busybox', 'sh', '-c'].concat(
        'cat /ro/a; echo "from inside" > /rw/b; echo no > /ro/c || echo "refused"',
      ),
    );
    expect(stdout).toBe('from the hostrefused\n');
    expect(readFileSync(join(shared, 'b'), 'utf8')).toBe('from inside\n');
  });

  test('-m, --cpus and --pids-limit are the limits of its cgroup', () => {
    const name = t.name();
    t.type(`run -d --name ${name} -m 48m --cpus 0.25 --pids-limit 17 busybox sleep 1000`);
    const { Id, State } = t.inspect(name);
    const cgroup = openCgroup(`/mydocker/${Id}`);
    expect(cgroup.pids()).toContain(State.Pid);
    const { memory, cpu, pids } = cgroup.stats();
    expect(memory.limit).toBe(48 * 1024 * 1024);
    expect(cpu.quota / cpu.period).toBe(0.25);
    expect(pids.limit).toBe(17);
    t.type(`rm -f ${name}`);
  });

  test('a container over its memory limit is killed, and says so', () => {
    const name = t.name();
    const { status } = t.mydocker([
      'run',
      '--name',
      name,
      '-m',
      '16m',
      'busybox',
      'sh',
      '-c',
      'x=x; while true; do x=$x$x; done',
    ]);
    expect(status).toBe(137);
    expect(t.inspect(name).State).toMatchObject({ Status: 'exited', ExitCode: 137, OOMKilled: true });
    t.type(`rm ${name}`);
  });

  test('gives it namespaces of its own, and with --network host the host’s network', () => {
    const [own, shared] = [t.name(), t.name()];
    t.type(`run -d --name ${own} busybox sleep 1000`);
    t.type(`run -d --name ${shared} --network host busybox sleep 1000`);
    const namespace = (name: string, kind: string): string =>
      readlinkSync(`/proc/${t.inspect(name).State.Pid}/ns/${kind}`);
    for (const kind of ['mnt', 'uts', 'ipc', 'pid', 'net'])
      expect(namespace(own, kind), kind).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
    expect(namespace(shared, 'net')).toBe(readlinkSync('/proc/self/ns/net'));
    expect(t.mydocker(['exec', shared, 'hostname']).stdout.trim()).toBe(hostname());
    t.type(`rm -f ${own} ${shared}`);
  });

  test('--network none leaves it the loopback link alone', () => {
    const { stdout } = t.mydocker(['run', '--rm', '--network', 'none', 'busybox', 'ls', '/sys/class/net']);
    expect(stdout.trim().split('\n')).toEqual(['lo']);
  });

  test('--rm leaves no container', () => {
    const name = t.name();
    t.type(`run --rm --name ${name} busybox true`);
    expect(t.type('ps -a').stdout).not.toContain(name);
  });

  test('it is Docker’s container inside: process 1, few capabilities, masked files, its own /dev', () => {
    const masked = ['/proc/kcore', '/proc/keys', '/proc/timer_list'].find((path) => existsSync(path))!;
    const script = [
      'echo $$',
      'grep CapEff /proc/self/status',
      `wc -c < ${masked}`,
      'ls -d /dev/null /dev/pts /dev/shm',
      'echo x > /proc/sys/kernel/hostname || echo refused',
    ];
    const { stdout } = t.mydocker(['run', '--rm', 'busybox', 'sh', '-c', script.join(';')]);
    expect(stdout).toBe('1\nCapEff:\t00000000a80425fb\n0\n/dev/null\n/dev/pts\n/dev/shm\nrefused\n');
  });
});
