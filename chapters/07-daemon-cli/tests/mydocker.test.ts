import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { fakeDaemon, frame, type Answer, type FakeDaemon, type Recorded } from './fake-daemon.ts';
import { buildMydocker, runProgram, type Outcome } from './program.ts';

let mydocker: Awaited<ReturnType<typeof buildMydocker>>;
let daemon: FakeDaemon | undefined;

beforeAll(async () => {
  mydocker = await buildMydocker();
});
afterEach(async () => {
  await daemon?.close();
  daemon = undefined;
});
afterAll(() => mydocker.remove());

const ID = 'c'.repeat(64);

/** A daemon with one container: what it says when it is started, and the status it ends with. */
async function container({
  says = () => {},
  status = 0,
  tty = false,
  answers = {},
}: {
  says?: (socket: Socket, end: () => void) => void;
  status?: number;
  tty?: boolean;
  answers?: Record<string, Answer>;
}): Promise<FakeDaemon> {
  let attached: Socket | undefined;
  let exit: () => void = () => {};
  const exited = new Promise<void>((resolve) => (exit = resolve));
  const details = {
    Id: ID,
    Name: '/web',
    State: { Running: true, Paused: false, Restarting: false, ExitCode: 0 },
    Config: { Tty: tty, OpenStdin: true },
    HostConfig: { AutoRemove: false },
  };
  return await fakeDaemon({
    hijacked: (socket) => void (attached = socket),
    answers: {
      'POST /containers/create': { status: 201, json: { Id: ID, Warnings: null } },
      [`GET /containers/web/json`]: { json: details },
      [`POST /containers/${ID}/wait`]: (response) => {
        response.writeHead(200).flushHeaders();
        void exited.then(() => response.end(JSON.stringify({ StatusCode: status })));
      },
      [`POST /containers/${ID}/start`]: (response) => {
        response.writeHead(204).end();
        if (attached) says(attached, exit);
        else exit();
      },
      ...answers,
    },
  });
}

const run = (args: readonly string[], options: Parameters<typeof runProgram>[2] = {}): Promise<Outcome> =>
  runProgram(mydocker.path, ['-H', daemon!.host, ...args], options);

/** The client, left running; killed when it does not end. */
const startClient = (...args: string[]): ChildProcessWithoutNullStreams =>
  spawn(mydocker.path, ['-H', daemon!.host, ...args], { timeout: 100_000, killSignal: 'SIGKILL' });

const asked = (): string[] =>
  daemon!.requests.map(({ method, path }) => `${method} ${path.replace(ID, 'ID')}`);

test('run attaches and waits before it starts, and ends with the status of the container', async () => {
  daemon = await container({
    status: 42,
    says: (socket, exit) => {
      socket.end(Buffer.concat([frame(1, 'out\n'), frame(2, 'err\n')]));
      exit();
    },
  });
  const { status, stdout, stderr } = await run(['run', 'busybox', 'x']);
  expect({ status, stdout: stdout.toString(), stderr }).toEqual({
    status: 42,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  expect(asked()).toEqual([
    'POST /containers/create',
    'POST /containers/ID/attach',
    'POST /containers/ID/wait',
    'POST /containers/ID/start',
  ]);
});

test('stdin is sent as it is, its end closes that half alone, and no byte of a large answer is lost', async () => {
  const sent = randomBytes(3_000_000);
  const got: Buffer[] = [];
  daemon = await container({
    says: (socket, exit) => {
      socket.on('data', (chunk: Buffer) => got.push(chunk)).resume();
      // Only after the client's end of file: what it had closed altogether could not hear this.
      socket.on('end', () => {
        const all = Buffer.concat(got);
        for (let at = 0; at < all.length; at += 32_768) socket.write(frame(1, all.subarray(at, at + 32_768)));
        socket.end();
        exit();
      });
    },
  });
  const { status, stdout } = await run(['run', '-i', 'busybox', 'cat'], { stdin: sent });
  expect(status).toBe(0);
  expect(stdout.equals(sent)).toBe(true);
});

test('the words of a container that cannot be started decide between 125, 126 and 127', async () => {
  for (const [message, expected] of [
    ['exec: "x": executable file not found in $PATH: unknown', 127],
    ['exec: "/x": stat /x: no such file or directory: unknown', 127],
    ['exec: "/etc": permission denied: unknown', 126],
    ['exec: "/etc": is a directory', 126],
    ['failed to create endpoint: no more addresses', 125],
  ] as const) {
    daemon = await container({
      answers: { [`POST /containers/${ID}/start`]: { status: 400, json: { message } } },
    });
    const { status, stderr } = await run(['run', 'busybox', 'x']);
    expect({ status, stderr }).toEqual({
      status: expected,
      stderr: `mydocker: Error response from daemon: ${message}\n\nRun 'mydocker run --help' for more information\n`,
    });
    await daemon.close();
  }
});

test('an image that is missing is pulled, and what the registry says is shown', async () => {
  daemon = await fakeDaemon({
    answers: {
      'POST /containers/create': { status: 404, json: { message: 'No such image: nosuch:latest' } },
      'POST /images/create': { status: 500, json: { message: 'registry: no such host' } },
    },
  });
  const { status, stderr } = await run(['run', 'nosuch']);
  expect(status).toBe(125);
  expect(stderr).toBe(
    "Unable to find image 'nosuch:latest' locally\nmydocker: Error response from daemon: registry: no such host\n\nRun 'mydocker run --help' for more information\n",
  );
  expect(daemon.requests.at(-1)).toMatchObject({
    path: '/images/create',
    query: { fromImage: 'nosuch', tag: 'latest' },
  });
});

test('an image that could be pulled is used', async () => {
  let there = false;
  daemon = await container({
    answers: {
      'POST /containers/create': (response) => {
        if (there) response.writeHead(201).end(JSON.stringify({ Id: ID }));
        else response.writeHead(404).end(JSON.stringify({ message: 'No such image: busybox:latest' }));
      },
      'POST /images/create': (response) => {
        there = true;
        response
          .writeHead(200)
          .end('{"status":"Pulling from library/busybox","id":"latest"}\n{"status":"Done"}\n');
      },
    },
  });
  const { status, stdout, stderr } = await run(['run', '-d', 'busybox']);
  expect({ status, stdout: stdout.toString() }).toEqual({ status: 0, stdout: `${ID}\n` });
  expect(stderr).toContain('latest: Pulling from library/busybox\n');
});

test.each([
  ['-m 5x', '-m, --memory'],
  ['--cpus x', '--cpus'],
  ['-v rel/path:/x', '-v, --volume'],
  ['-e =x', '-e, --env'],
  ['-p 99999:80', '-p, --publish'],
  ['--network a/b', '--network'],
  ['--pids-limit x', '--pids-limit'],
  ['-w rel', '-w, --workdir'],
  ['--mount bad', '--mount'],
  ['--restart sometimes', '--restart'],
])('run %s is refused before anything is sent, naming flag and value', async (flags, named) => {
  daemon = await fakeDaemon({});
  const { status, stderr, stdout } = await run(['run', ...flags.split(' '), 'busybox']);
  expect(status).toBe(125);
  expect(stdout.length).toBe(0);
  expect(stderr).toContain(`mydocker: invalid argument "${flags.split(' ')[1]}" for "${named}" flag: `);
  expect(stderr).toMatch(/\n\nRun 'mydocker run --help' for more information\n$/);
  expect(daemon.requests).toEqual([]);
});

test('other mistakes of the command line have their own words, and say no stack', async () => {
  daemon = await fakeDaemon({});
  const cases: [string[], number, RegExp][] = [
    [['run'], 1, /^mydocker: 'mydocker run' requires at least 1 argument\n/],
    [['ps', 'x'], 1, /^mydocker: 'mydocker ps' accepts no arguments\n/],
    [['rename', 'x'], 1, /^mydocker: 'mydocker rename' requires 2 arguments\n/],
    [['bogus'], 1, /^mydocker: unknown command: mydocker bogus\n/],
    [['run', '--bogus', 'x'], 125, /^mydocker: unknown flag: --bogus\n/],
    [['run', '--init', 'x'], 125, /^mydocker: --init: this engine has no init program/],
    [['run', '-it', 'busybox'], 1, /^the input device is not a TTY\n$/],
    [['run', '--env-file', '/nosuch', 'x'], 125, /^mydocker: open \/nosuch: no such file or directory\n/],
    [['run', '--detach-keys', 'ctrl-foo', 'x'], 125, /^mydocker: invalid detach keys "ctrl-foo"/],
    [['run', 'UPPER'], 125, /must be lowercase/],
    [['load', '-i', '/nosuch'], 1, /^open \/nosuch: no such file or directory\n$/],
  ];
  for (const [args, expected, words] of cases) {
    const { status, stderr } = await run(args);
    expect({ args, status }).toEqual({ args, status: expected });
    expect(stderr).toMatch(words);
    expect(stderr).not.toMatch(/^\s+at /m);
  }
  expect(daemon.requests).toEqual([]);
});

test('a daemon that does not run is named, with status 1, or 125 for run; --debug says where it happened', async () => {
  const nobody = ['-H', 'unix:///nosuch/d.sock'];
  const words =
    'Cannot connect to the mydocker daemon at unix:///nosuch/d.sock. Is the mydockerd daemon running?\n';
  const ps = await runProgram(mydocker.path, [...nobody, 'ps']);
  expect({ status: ps.status, stderr: ps.stderr }).toEqual({ status: 1, stderr: words });
  const started = await runProgram(mydocker.path, [...nobody, 'run', 'x']);
  expect(started.status).toBe(125);
  expect(started.stderr).toBe(`mydocker: ${words}\nRun 'mydocker run --help' for more information\n`);
  const fromEnvironment = await runProgram(mydocker.path, ['ps'], {
    env: { MYDOCKER_HOST: 'unix:///nosuch/d.sock' },
  });
  expect(fromEnvironment.stderr).toBe(words);
  const debugged = await runProgram(mydocker.path, ['--debug', ...nobody, 'ps']);
  expect(debugged.stderr).toMatch(/^\s+at /m);
  expect((await runProgram(mydocker.path, ['-H', 'foo://x', 'ps'])).stderr).toContain(
    'give unix:///path/of/socket',
  );
});

test('several names: each that succeeded on standard output, each failure on standard error, status 1', async () => {
  daemon = await fakeDaemon({
    answers: {
      'POST /containers/a/stop': { status: 204 },
      'POST /containers/b/stop': { status: 404, json: { message: 'No such container: b' } },
      'POST /containers/c/stop': { status: 304 },
    },
  });
  const { status, stdout, stderr } = await run(['stop', '-t', '0', 'a', 'b', 'c']);
  expect({ status, stdout: stdout.toString(), stderr }).toEqual({
    status: 1,
    stdout: 'a\nc\n',
    stderr: 'Error response from daemon: No such container: b\n',
  });
  expect(daemon.requests[0]!.query).toEqual({ t: '0' });
});

test('exec: its status is asked for after its output has ended', async () => {
  let sent: Recorded | undefined;
  daemon = await fakeDaemon({
    hijacked: (socket, request) => {
      sent = request;
      socket.end(frame(2, 'oh\n'));
    },
    answers: {
      'GET /containers/web/json': { json: { Id: ID, State: { Running: true }, Config: {} } },
      [`POST /containers/${ID}/exec`]: { status: 201, json: { Id: 'e1' } },
      'GET /exec/e1/json': { json: { ExitCode: 7 } },
    },
  });
  const { status, stderr } = await run(['exec', '-e', 'A=1', '-w', '/w', '-u', 'me', 'web', 'ls', '-la']);
  expect({ status, stderr }).toEqual({ status: 7, stderr: 'oh\n' });
  expect(sent?.path).toBe('/exec/e1/start');
  expect(JSON.parse(daemon.requests[1]!.body)).toMatchObject({
    Cmd: ['ls', '-la'],
    Env: ['A=1'],
    WorkingDir: '/w',
    User: 'me',
    AttachStdin: false,
    AttachStdout: true,
    Tty: false,
  });
});

test('a signal to the client is one to the container', async () => {
  let end: (() => void) | undefined;
  daemon = await container({
    status: 143,
    says: (socket, exit) => {
      socket.write(frame(1, 'ready\n'));
      end = () => {
        socket.end();
        exit();
      };
    },
    answers: {
      [`POST /containers/${ID}/kill`]: (response) => {
        response.writeHead(204).end();
        end!();
      },
    },
  });
  const child = startClient('run', 'busybox');
  child.stdout.once('data', () => child.kill('SIGTERM'));
  const status = await new Promise((resolve) => child.on('exit', resolve));
  expect(status).toBe(143);
  expect(daemon.requests.at(-1)).toMatchObject({ path: `/containers/${ID}/kill`, query: { signal: 'TERM' } });
});

test('a signal that comes before the container has started is kept for then', async () => {
  const order: string[] = [];
  let end: (() => void) | undefined;
  daemon = await container({
    status: 143,
    says: (socket, exit) => {
      end = () => {
        socket.end();
        exit();
      };
    },
    answers: {
      [`POST /containers/${ID}/kill`]: (response) => {
        order.push('kill');
        response.writeHead(204).end();
        end!();
      },
    },
  });
  const startAtOnce = daemon.answers[`POST /containers/${ID}/start`] as (
    response: ServerResponse,
    request: Recorded,
  ) => void;
  daemon.answers[`POST /containers/${ID}/start`] = (response, request) => {
    child.kill('SIGTERM');
    setTimeout(() => {
      order.push('started');
      startAtOnce(response, request);
    }, 200);
  };
  const child = startClient('run', 'busybox');
  const status = await new Promise((resolve) => child.on('exit', resolve));
  expect({ status, order }).toEqual({ status: 143, order: ['started', 'kill'] });
});

test('after three of Ctrl-C the client leaves a container that does not end', async () => {
  daemon = await container({
    says: (socket) => void socket.write(frame(1, 'ready\n')),
    answers: { [`POST /containers/${ID}/kill`]: { status: 204 } },
  });
  const child = startClient('run', 'busybox');
  const stderr: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const timer = setInterval(() => {
    if (daemon!.requests.length > 3) child.kill('SIGINT');
  }, 100);
  const status = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  expect(status).toBe(1);
  expect(Buffer.concat(stderr).toString()).toContain('got 3 SIGTERM/SIGINTs, forcefully exiting');
});

test('logs that nobody reads any more end quietly, as SIGPIPE ends other programs', async () => {
  daemon = await container({
    answers: {
      [`GET /containers/${ID}/logs`]: (response) => {
        response.writeHead(200);
        for (let i = 0; i < 200; i += 1) response.write(frame(1, 'y\n'.repeat(10_000)));
        response.end();
      },
    },
  });
  const script = '"$0" -H "$1" logs web | head -1; echo "${PIPESTATUS[0]}"';
  const shell = spawn('/bin/bash', ['-c', script, mydocker.path, daemon.host], { timeout: 100_000 });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  shell.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  shell.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  await new Promise((resolve) => shell.on('close', resolve));
  expect(Buffer.concat(stdout).toString()).toBe('y\n141\n');
  expect(Buffer.concat(stderr).toString()).toBe('');
});

test('a connection that breaks inside a frame is an error, and no shorter output with status 0', async () => {
  daemon = await container({
    answers: {
      [`GET /containers/${ID}/logs`]: (response) =>
        void response.writeHead(200).end(frame(1, 'whole').subarray(0, 10)),
    },
  });
  const { status, stderr } = await run(['logs', 'web']);
  expect(status).toBe(1);
  expect(stderr).toContain('ended in the middle of a frame');
});

test('logs of a daemon that dies in the middle are an error, between two frames too', async () => {
  daemon = await container({
    answers: {
      [`GET /containers/${ID}/logs`]: (response) => {
        response.writeHead(200).write(frame(1, 'whole'));
        setTimeout(() => response.destroy(), 50);
      },
    },
  });
  const { status, stdout, stderr } = await run(['logs', '-f', 'web']);
  expect({ status, stdout: stdout.toString(), stderr }).toEqual({
    status: 1,
    stdout: 'whole',
    stderr: 'the daemon went away in the middle of its answer\n',
  });
});

test('ps prints the columns of Docker', async () => {
  daemon = await fakeDaemon({
    answers: {
      'GET /containers/json': {
        json: [
          {
            Id: ID,
            Names: ['/web'],
            Image: 'busybox',
            ImageID: 'sha256:x',
            Command: "sh -c 'while :; do date; done'",
            Created: Math.floor(Date.now() / 1000) - 125,
            State: 'running',
            Status: 'Up 2 minutes',
            Ports: [{ IP: '0.0.0.0', PrivatePort: 80, PublicPort: 8080, Type: 'tcp' }],
            Labels: { a: 'b' },
          },
        ],
      },
    },
  });
  expect((await run(['ps', '-a', '-f', 'status=running'])).stdout.toString()).toBe(
    'CONTAINER ID   IMAGE     COMMAND                  CREATED         STATUS         PORTS                  NAMES\n' +
      'cccccccccccc   busybox   "sh -c \'while :; do …"   2 minutes ago   Up 2 minutes   0.0.0.0:8080->80/tcp   web\n',
  );
  expect(daemon.requests[0]!.query).toEqual({ all: '1', filters: '{"status":{"running":true}}' });
  expect((await run(['ps', '-q'])).stdout.toString()).toBe('cccccccccccc\n');
  expect((await run(['ps', '--format', '{{.Names}} {{.Labels}}'])).stdout.toString()).toBe('web a=b\n');
  expect((await run(['ps', '--format', '{{.Nothing}}'])).status).toBe(1);
});

test('inspect looks for a container, then an image, and prints what it found before what it did not', async () => {
  daemon = await fakeDaemon({
    answers: { 'GET /images/busybox/json': { json: { Id: 'sha256:1', Size: 5 } } },
  });
  const { status, stdout, stderr } = await run(['inspect', 'busybox', 'nosuch']);
  expect(status).toBe(1);
  expect(JSON.parse(stdout.toString())).toEqual([{ Id: 'sha256:1', Size: 5 }]);
  expect(stderr).toBe('Error: No such object: nosuch\n');
  expect((await run(['inspect', '-f', '{{.Size}}', 'busybox'])).stdout.toString()).toBe('5\n');
});

test('load sends the file as it is, and fails with what the daemon says in the middle', async () => {
  const archive = randomBytes(200_000);
  let got: Buffer | undefined;
  daemon = await fakeDaemon({
    answers: {
      'POST /images/load': (response, { bytes }) => {
        got = bytes;
        response
          .writeHead(200, { 'Content-Type': 'application/json' })
          .end('{"stream":"Loaded image: x\\n"}\n{"error":"disk full"}\n');
      },
    },
  });
  const path = join(daemon.directory, 'image.tar');
  writeFileSync(path, archive);
  const { status, stdout, stderr } = await run(['load', '-i', path]);
  expect({ status, stdout: stdout.toString(), stderr }).toEqual({
    status: 1,
    stdout: 'Loaded image: x\n',
    stderr: 'disk full\n',
  });
  expect(got?.equals(archive)).toBe(true);
});

test('an older daemon is spoken to in its own version', async () => {
  daemon = await fakeDaemon({ apiVersion: '1.41', answers: { 'GET /containers/json': { json: [] } } });
  await run(['ps']);
  expect(daemon.requests[0]!.version).toBe('1.41');
});

test('help names every command, and each has its own', () => {
  const help = spawnSync(mydocker.path, ['--help']);
  expect(help.status).toBe(0);
  for (const name of ['run', 'exec', 'ps', 'logs', 'inspect', 'unpause'])
    expect(help.stdout.toString()).toMatch(new RegExp(`^  ${name} `, 'm'));
  const runHelp = spawnSync(mydocker.path, ['run', '--help']);
  expect(runHelp.stdout.toString()).toContain('-m, --memory <bytes>');
});
