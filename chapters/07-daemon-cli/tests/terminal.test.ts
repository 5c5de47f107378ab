import { closeSync, constants, openSync, writeSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ReadStream } from 'node:tty';
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  dup2,
  execve,
  exitCode,
  fork,
  kill,
  openPty,
  setControllingTerminal,
  setsid,
  setWindowSize,
  SIGNALS,
  waitAsync,
} from '../../01-processes/index.ts';
import { detachFilter, parseDetachKeys } from '../terminal.ts';
import { fakeDaemon, type Answer, type FakeDaemon } from './fake-daemon.ts';
import { buildMydocker } from './program.ts';

test('detach keys are characters, or ctrl- and a key', () => {
  expect(parseDetachKeys('ctrl-p,ctrl-q')).toEqual([16, 17]);
  expect(parseDetachKeys('a,ctrl-@,ctrl-[,ctrl-_')).toEqual([97, 0, 27, 31]);
  expect(parseDetachKeys('')).toEqual([]);
  for (const bad of ['ctrl-foo', 'ab', 'a,,b', 'ctrl-1'])
    expect(() => parseDetachKeys(bad), bad).toThrow('invalid detach keys');
});

/** What is sent on of some typed pieces, and whether they detach. */
function typed(keys: string, ...pieces: string[]): [sent: string, detached: boolean] {
  const filter = detachFilter(parseDetachKeys(keys));
  let sent = '';
  for (const piece of pieces) {
    const { send, detached } = filter(Buffer.from(piece, 'latin1'));
    sent += send.toString('latin1');
    if (detached) return [sent, true];
  }
  return [sent, false];
}

test('the detach keys are found, also in two pieces, and are not sent', () => {
  expect(typed('ctrl-p,ctrl-q', 'ls\x10\x11rest')).toEqual(['ls', true]);
  expect(typed('ctrl-p,ctrl-q', 'ls\x10', '\x11')).toEqual(['ls', true]);
});

test('the first of the keys alone is sent once the next key shows that it was meant', () => {
  expect(typed('ctrl-p,ctrl-q', 'a\x10')).toEqual(['a', false]);
  expect(typed('ctrl-p,ctrl-q', 'a\x10', 'b')).toEqual(['a\x10b', false]);
  expect(typed('ctrl-p,ctrl-q', '\x10\x10\x11')).toEqual(['\x10', true]);
  expect(typed('ctrl-p,ctrl-q', '\x11\x10x\xff\x00')).toEqual(['\x11\x10x\xff\x00', false]);
});

test('without detach keys everything is sent', () => {
  expect(typed('', '\x10\x11')).toEqual(['\x10\x11', false]);
});

let mydocker: Awaited<ReturnType<typeof buildMydocker>>;
beforeAll(async () => {
  mydocker = await buildMydocker();
});
afterAll(() => mydocker.remove());

const ID = 'd'.repeat(64);

interface Session {
  daemon: FakeDaemon;
  /** What the terminal shows. */
  screen(): string;
  type(keys: string): void;
  resize(rows: number, cols: number): void;
  /** The settings of the terminal, as stty prints them. */
  settings(): string;
  /** Those that it had when nobody had touched it yet. */
  before: string;
  signal(name: 'SIGTERM' | 'SIGHUP' | 'SIGKILL'): void;
  /** 128 and the signal's number where a signal ended it */
  status: Promise<number>;
}

/** Runs `mydocker` in a terminal of its own, with a daemon behind it whose container is played by the test; then takes all away. */
async function inTerminal(
  args: readonly string[],
  play: (socket: Socket) => void,
  answers: Record<string, Answer>,
  act: (session: Session) => Promise<void>,
): Promise<void> {
  const daemon = await fakeDaemon({
    hijacked: play,
    answers: {
      'POST /containers/create': { status: 201, json: { Id: ID } },
      [`POST /containers/${ID}/start`]: { status: 204 },
      [`POST /containers/${ID}/resize`]: { status: 200 },
      [`POST /containers/${ID}/kill`]: { status: 204 },
      [`POST /containers/${ID}/wait`]: (response) => {
        response.writeHead(200).flushHeaders();
        ended.then(() => response.end('{"StatusCode":3}')).catch(() => {});
      },
      ...answers,
    },
  });
  const { master, slavePath } = openPty();
  const settings = (): string => spawnSync('stty', ['-g', '-F', slavePath]).stdout.toString();
  // Held open, so that the terminal's settings can be looked at after its program has gone.
  const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
  setWindowSize(master, { rows: 31, cols: 97 });
  const before = settings();
  const pid = fork(() => {
    setsid();
    setControllingTerminal(slave);
    for (const fd of [0, 1, 2]) dup2(slave, fd);
    execve(mydocker.path, ['mydocker', '-H', daemon.host, ...args], ['PATH=/usr/bin:/bin', 'HOME=/root']);
  });
  let runs = true;
  const status = waitAsync(pid).then((how) => {
    runs = false;
    return exitCode(how);
  });
  const shown: Buffer[] = [];
  const reader = new ReadStream(master);
  reader.on('data', (chunk: Buffer) => shown.push(chunk));
  reader.on('error', () => {});
  try {
    await act({
      daemon,
      screen: () => Buffer.concat(shown).toString('latin1'),
      type: (keys) => void writeSync(master, Buffer.from(keys, 'latin1')),
      resize: (rows, cols) => setWindowSize(master, { rows, cols }),
      settings,
      before,
      signal: (name) => kill(pid, SIGNALS[name]!),
      status,
    });
  } finally {
    // Once it has been waited for, its number may be another's.
    if (runs) kill(pid, SIGNALS['SIGKILL']!);
    await status;
    reader.destroy();
    closeSync(slave);
    await daemon.close();
  }
}

let end: () => void = () => {};
let ended = new Promise<void>(() => {});
beforeEach(() => {
  ended = new Promise((resolve) => (end = resolve));
});

/** A container with a terminal that says `$ `, gives back in brackets what is typed, and ends at Ctrl-D. */
function shell(socket: Socket): void {
  socket.write('$ ');
  socket.on('data', (typed: Buffer) => {
    if (typed.includes(4)) {
      socket.end('bye\r\n');
      end();
    } else socket.write(Buffer.concat([Buffer.from('['), typed, Buffer.from(']')]));
  });
  socket.resume();
}

/** @throws Error when it does not come about within a minute */
async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !condition(); await new Promise((resolve) => setTimeout(resolve, 5)))
    if (Date.now() > end) throw new Error(`waited in vain until ${String(condition)}`);
}

const resizes = ({ daemon }: Session): object[] =>
  daemon.requests.filter(({ path }) => path.endsWith('/resize')).map(({ query }) => query);

test('run -it: every key goes to the container as it is, what it writes comes as it is, and the terminal is as before afterwards', async () => {
  await inTerminal(['run', '-it', 'busybox'], shell, {}, async (s) => {
    await until(() => s.screen() === '$ ');
    expect(s.settings()).not.toBe(s.before);
    // Ctrl-C, Ctrl-Z, carriage return, erase, a byte that is no UTF-8: nothing is a signal here, nothing is echoed or edited.
    for (const key of ['\x03', '\x1a', '\r', '\x7f', '\xff']) {
      s.type(key);
      await until(() => s.screen().endsWith(`[${key}]`));
    }
    expect(s.screen()).toBe('$ [\x03][\x1a][\r][\x7f][\xff]');
    s.type('\x04');
    expect(await s.status).toBe(3);
    await until(() => s.screen().endsWith('bye\r\n'));
    expect(s.settings()).toBe(s.before);
  });
});

test('a line feed of the container is not made carriage return and line feed once more', async () => {
  await inTerminal(
    ['run', '-it', 'busybox'],
    (socket) => void socket.write('a\r\nb\nc'),
    {},
    async (s) => {
      await until(() => s.screen().endsWith('c'));
      expect(s.screen()).toBe('a\r\nb\nc');
    },
  );
});

test("the container's terminal is as large as this one, from the start and after each change", async () => {
  await inTerminal(['run', '-it', 'busybox'], shell, {}, async (s) => {
    await until(() => resizes(s).length === 1);
    expect(JSON.parse(s.daemon.requests[0]!.body)).toMatchObject({ HostConfig: { ConsoleSize: [31, 97] } });
    s.resize(11, 44);
    await until(() => resizes(s).length === 2);
    expect(resizes(s)).toEqual([
      { h: '31', w: '97' },
      { h: '11', w: '44' },
    ]);
  });
});

test('the detach keys leave the container, status 0 for run, and the terminal is as before', async () => {
  await inTerminal(['run', '-it', 'busybox'], shell, {}, async (s) => {
    await until(() => s.screen() === '$ ');
    s.type('\x10\x11');
    expect(await s.status).toBe(0);
    expect(s.settings()).toBe(s.before);
    expect(s.daemon.requests.some(({ path }) => path.endsWith('/kill'))).toBe(false);
  });
});

test('attach makes a running program paint its screen, and says that it was left', async () => {
  const details = {
    Id: ID,
    State: { Running: true },
    Config: { Tty: true, OpenStdin: true },
    HostConfig: {},
  };
  await inTerminal(
    ['attach', '--detach-keys', 'a,b', 'web'],
    shell,
    { 'GET /containers/web/json': { json: details } },
    async (s) => {
      await until(() => resizes(s).length === 2);
      expect(resizes(s)).toEqual([
        { h: '32', w: '98' },
        { h: '31', w: '97' },
      ]);
      s.type('ab');
      expect(await s.status).toBe(1);
      await until(() => s.screen().includes('read escape sequence'));
    },
  );
});

test('a signal to the client goes to the container, and the terminal is as before when the container ends by it', async () => {
  const answers: Record<string, Answer> = {};
  let socket: Socket | undefined;
  answers[`POST /containers/${ID}/kill`] = (response) => {
    response.writeHead(204).end();
    socket!.end();
    end();
  };
  await inTerminal(
    ['run', '-it', 'busybox'],
    (s) => (shell(s), (socket = s)),
    answers,
    async (s) => {
      await until(() => s.screen() === '$ ' && resizes(s).length === 1);
      s.signal('SIGTERM');
      expect(await s.status).toBe(3);
      expect(s.daemon.requests.find(({ path }) => path.endsWith('/kill'))?.query).toEqual({ signal: 'TERM' });
      expect(s.settings()).toBe(s.before);
    },
  );
});

test('a container that cannot be started gives the terminal back too', async () => {
  const refusal = { status: 400, json: { message: 'exec: "x": executable file not found in $PATH' } };
  await inTerminal(
    ['run', '-it', 'busybox', 'x'],
    () => {},
    { [`POST /containers/${ID}/start`]: refusal },
    async (s) => {
      expect(await s.status).toBe(127);
      expect(s.settings()).toBe(s.before);
    },
  );
});

test('a signal that ends the client gives the terminal back too', async () => {
  const details = { Id: ID, State: { Running: true }, Config: {}, HostConfig: {} };
  const answers = {
    'GET /containers/web/json': { json: details },
    [`POST /containers/${ID}/exec`]: { status: 201, json: { Id: 'e' } },
    'POST /exec/e/resize': { status: 200 },
  };
  await inTerminal(['exec', '-it', 'web', 'sh'], shell, answers, async (s) => {
    await until(() => s.screen() === '$ ');
    s.signal('SIGHUP');
    expect(await s.status).toBe(129);
    expect(s.settings()).toBe(s.before);
  });
});

test('a daemon that dies gives the terminal back too, with status 125', async () => {
  let waiting: ServerResponse | undefined;
  const answers: Record<string, Answer> = {
    [`POST /containers/${ID}/wait`]: (response) => {
      response.writeHead(200).flushHeaders();
      waiting = response;
    },
  };
  let attached: Socket | undefined;
  await inTerminal(
    ['run', '-it', 'busybox'],
    (socket) => (attached = socket),
    answers,
    async (s) => {
      await until(() => resizes(s).length === 1);
      waiting!.destroy();
      attached!.destroy();
      expect(await s.status).toBe(125);
      await until(() => s.screen().includes('error waiting for container: the daemon went away'));
      expect(s.settings()).toBe(s.before);
    },
  );
});
