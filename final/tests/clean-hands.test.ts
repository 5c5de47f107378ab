import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build } from '../build.ts';
import { eventually, startClient, startTestEngine, type TestEngine } from './harness.ts';
import { changes, lookAtMachine, standApart, type Machine } from './machine.ts';

let clean: Machine;
let t: TestEngine;
beforeAll(async () => {
  standApart();
  await build(); // esbuild stays, for the next time
  clean = lookAtMachine();
  t = await startTestEngine();
  t.type('run --rm busybox true'); // what is made once, with the first container, is there from here on
  const once = lookAtMachine();
  t.type('run --rm busybox true');
  await expectUnchanged(once);
});
afterAll(() => t?.stop());

const commands: [what: string, args: string[]][] = [
  ['a run that ends', ['run', '--rm', 'busybox', 'true']],
  ['a run that fails', ['run', '--rm', 'busybox', 'false']],
  ['a command that is not found', ['run', '--rm', 'busybox', 'no-such-command']],
  ['a mount that cannot be made', ['run', '--rm', '-v', '/proc/version:/etc/passwd/x', 'busybox', 'true']],
  ['a working directory that is a file', ['run', '--rm', '-w', '/etc/passwd', 'busybox', 'true']],
  ['a limit that is refused', ['run', '--rm', '-m', '1k', 'busybox', 'true']],
  [
    'a killed memory hog',
    ['run', '--rm', '-m', '16m', 'busybox', 'sh', '-c', 'x=x; while true; do x=$x$x; done'],
  ],
  ['a container without a network', ['run', '--rm', '--network', 'none', 'busybox', 'true']],
  ['a container on the host’s network', ['run', '--rm', '--network', 'host', 'busybox', 'true']],
  [
    'a volume and a temporary file system',
    ['run', '--rm', '-v', '/tmp:/t:ro', '--tmpfs', '/x', 'busybox', 'true'],
  ],
  [
    'a process that left children behind',
    ['run', '--rm', 'busybox', 'sh', '-c', 'sleep 1000 & sleep 1000 & exit 0'],
  ],
];

describe('the machine is as it was after', () => {
  test.each(commands)('%s', async (_what, args) => {
    const before = lookAtMachine();
    t.mydocker(args);
    await expectUnchanged(before);
  });

  test('exec, stop, start and rm of one container', async () => {
    const before = lookAtMachine();
    const name = t.name();
    t.type(`run -d --name ${name} busybox sleep 1000`);
    t.type(`exec ${name} ls /`);
    t.type(`exec -d ${name} sleep 500`);
    t.type(`exec ${name} no-such-command`);
    t.type(`stop -t 0 ${name}`);
    t.type(`start ${name}`);
    t.type(`rm -f ${name}`);
    await expectUnchanged(before);
  });

  test('a run that is interrupted', async () => {
    const before = lookAtMachine();
    const { child, output, closed } = startClient(t.engine, [
      'run',
      '--rm',
      'busybox',
      'sh',
      '-c',
      'trap "exit 7" INT; echo up; while true; do usleep 10000; done',
    ]);
    await eventually('it runs', () => output.out.includes('up'));
    child.kill('SIGINT');
    expect(await closed).toBe(7);
    await expectUnchanged(before);
  });

  test('a client that is killed: its container goes on, and can be removed', async () => {
    const before = lookAtMachine();
    const name = t.name();
    const { child, output, closed } = startClient(t.engine, [
      'run',
      '--name',
      name,
      'busybox',
      'sh',
      '-c',
      'echo up; sleep 1000',
    ]);
    await eventually('it runs', () => output.out.includes('up'));
    child.kill('SIGKILL');
    await closed;
    expect(t.inspect(name).State.Running).toBe(true);
    t.type(`rm -f ${name}`);
    await expectUnchanged(before);
  });

  test('the engine’s own end', async () => {
    await t.stop();
    await expectUnchanged(clean);
    t = await startTestEngine();
  });
});

/** Some things go a moment after the command has returned (the shim, an empty cgroup): they must go. */
async function expectUnchanged(before: Machine): Promise<void> {
  let now: string[] = [];
  await eventually('nothing is left', () => (now = changes(before, lookAtMachine())).length === 0, 60).catch(
    () => undefined,
  );
  expect(now).toEqual([]);
}

test('the comparison sees what is left: a mount, a cgroup, a link, a process, a file', async () => {
  const before = lookAtMachine();
  const sh = (script: string): string => spawnSync('sh', ['-c', script], { encoding: 'utf8' }).stdout.trim();
  const cgroup = sh(
    'd=$(ls -d /sys/fs/cgroup/pids /sys/fs/cgroup 2>/dev/null | head -1)/seen-$$; mkdir $d; echo $d',
  );
  const dir = sh('d=$(mktemp -d /tmp/mydocker-seen-XXXXXX); mount -t tmpfs seen $d; echo $d');
  const pid = sh('setsid sleep 1000 >/dev/null 2>&1 & echo $!');
  sh('ip link add seen0 type dummy 2>/dev/null || ip link add seen0 type veth peer name seen1');
  try {
    const seen = changes(before, lookAtMachine()).join('\n');
    for (const kind of ['mounts', 'cgroups', 'links', 'processes', 'files'])
      expect(seen).toContain(`+ ${kind}:`);
  } finally {
    sh(`kill ${pid}; rmdir ${cgroup}; umount ${dir}; rmdir ${dir}; ip link del seen0`);
  }
  await expectUnchanged(before);
});
