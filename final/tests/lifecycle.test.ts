import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, startClient, startTestEngine, statusField, type TestEngine } from './harness.ts';

let t: TestEngine;
beforeAll(async () => void (t = await startTestEngine()));
afterAll(() => t?.stop());

/** Starts a container that runs `script`, and returns its name. */
function start(script: string, ...options: string[]): string {
  const name = t.name();
  const { status, stderr } = t.mydocker([
    'run',
    '-d',
    '--name',
    name,
    ...options,
    'busybox',
    'sh',
    '-c',
    script,
  ]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return name;
}

describe('a detached container', () => {
  test('is listed by ps while it runs, and by ps -a when it has ended', async () => {
    const name = start('sleep 1000');
    expect(t.type('ps').stdout).toMatch(new RegExp(`busybox .*Up .* ${name}`));
    t.type(`kill ${name}`);
    await eventually('it ended', () => t.inspect(name).State.Status === 'exited');
    expect(t.type('ps').stdout).not.toContain(name);
    expect(t.type('ps -a').stdout).toMatch(new RegExp(`Exited \\(137\\) .* ${name}`));
    t.type(`rm ${name}`);
  });

  test('keeps its output for logs, also after its end', async () => {
    const name = start('echo one; echo two >&2');
    await eventually('it ended', () => !t.inspect(name).State.Running);
    expect(t.type(`logs ${name}`)).toEqual({ status: 0, stdout: 'one\n', stderr: 'two\n' });
    expect(t.type(`logs --tail 1 ${name}`)).toMatchObject({ stdout: '', stderr: 'two\n' });
    expect(t.type(`logs -t ${name}`).stdout).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z one\n$/);
    t.type(`rm ${name}`);
  });

  test('logs -f follows until it ends', async () => {
    const name = start('for i in 1 2 3 4 5; do echo $i; sleep 0.2; done');
    const { output, closed } = startClient(t.engine, ['logs', '-f', name]);
    expect(await closed).toBe(0);
    expect(output.out).toBe('1\n2\n3\n4\n5\n');
    t.type(`rm ${name}`);
  });

  test('exec runs a second process in its namespaces, with a status of its own', () => {
    const name = start('sleep 1000', '--hostname', 'attic');
    expect(t.mydocker(['exec', name, 'sh', '-c', 'hostname; exit 9'])).toEqual({
      status: 9,
      stdout: 'attic\n',
      stderr: '',
    });
    expect(t.mydocker(['exec', '-i', name, 'cat'], { input: 'typed' }).stdout).toBe('typed');
    expect(
      t.mydocker(['exec', '-e', 'A=b', '-w', '/tmp', '-u', '5', name, 'sh', '-c', 'echo $A; pwd; id -u'])
        .stdout,
    ).toBe('b\n/tmp\n5\n');
    t.type(`rm -f ${name}`);
  });

  test('stop asks with SIGTERM, waits, and then kills', async () => {
    const polite = start('trap "echo bye; exit 5" TERM; echo up; while true; do sleep 0.1; done');
    await eventually('its trap is set', () => t.type(`logs ${polite}`).stdout === 'up\n');
    expect(t.type(`stop ${polite}`)).toMatchObject({ status: 0, stdout: `${polite}\n` });
    expect(t.inspect(polite).State).toMatchObject({ Status: 'exited', ExitCode: 5 });
    expect(t.type(`logs ${polite}`).stdout).toBe('up\nbye\n');
    const deaf = start('trap "" TERM; while true; do sleep 0.1; done');
    t.type(`stop -t 1 ${deaf}`);
    expect(t.inspect(deaf).State).toMatchObject({ Status: 'exited', ExitCode: 137 });
    t.type(`rm ${polite} ${deaf}`);
  });

  test('kill sends the signal that is named', async () => {
    const name = start('trap "echo hup" HUP; while true; do sleep 0.1; done');
    await eventually('the trap is set', () => {
      t.type(`kill -s HUP ${name}`);
      return t.type(`logs ${name}`).stdout.includes('hup\n');
    });
    expect(t.inspect(name).State.Running).toBe(true);
    t.type(`rm -f ${name}`);
  });

  test('start runs it again, with the files it had written', async () => {
    const name = start('echo again >> /count; cat /count');
    await eventually('it ended', () => !t.inspect(name).State.Running);
    expect(t.type(`start -a ${name}`)).toMatchObject({ status: 0, stdout: 'again\nagain\n' });
    t.type(`rm ${name}`);
  });

  test('rm refuses one that runs, and rm -f removes it with its process', () => {
    const name = start('sleep 1000');
    const { Pid } = t.inspect(name).State;
    const refused = t.type(`rm ${name}`);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('running container');
    expect(t.type(`rm -f ${name}`)).toMatchObject({ status: 0, stdout: `${name}\n` });
    expect(statusField(Pid, 'State')).toBeUndefined();
    expect(t.type('ps -a').stdout).not.toContain(name);
  });
});

describe('what there is', () => {
  test('images, version and info tell it', () => {
    expect(t.type('images').stdout).toMatch(/^busybox +latest +[0-9a-f]{12} /m);
    expect(t.type('version').stdout).toMatch(/Client:[^]*Server:/);
    expect(t.type('info').stdout).toMatch(/Containers: \d+/);
  });

  test('inspect tells of a container by name, id and the beginning of the id', () => {
    const name = start('sleep 1000', '-e', 'A=b');
    const { Id, Config } = t.inspect(name);
    expect(Config['Env']).toContain('A=b');
    expect(t.inspect(Id).Id).toBe(Id);
    expect(t.inspect(Id.slice(0, 12)).Id).toBe(Id);
    t.type(`rm -f ${name}`);
  });
});
