import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  expectSame,
  expectThat,
  kill,
  NotImplemented,
  readStat,
  SIGNALS,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { within } from './exercise-support.ts';

export const handingOver: Exercise = {
  gap: '06.2',
  task: 'Leave the shim’s daemon behind, with a socket that already listens.',
  hints: [
    'containerd connects as soon as `start` has printed the address. Connections wait in a listening socket’s queue: someone must only have made it in time. And descriptors outlive the process that opened them.',
    'child_process.spawn: `stdio` has an entry for each descriptor, 3 too; `detached` is setsid(2). `listen(path)` gives a listening descriptor, `environment()` what the daemon may know, writeWhole writes `address`.',
    'listener = await listen(path); writeWhole("address", url); spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, "-namespace", …, "-socket", path], { detached: true, stdio: ["ignore", "ignore", "ignore", listener], env: environment() }).unref(); return url.',
  ],
  check: checkHandOver,
  wrong: [
    {
      mistake: 'lets the daemon inherit the output',
      code: `const listener = await listen(path);
writeWhole('address', url);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  detached: true,
  stdio: ['ignore', 'inherit', 'inherit', listener],
  env: environment(),
});
daemon.unref();
return url;`,
      diagnosis: 'every holder has closed it',
    },
    {
      mistake: 'leaves the daemon in the caller’s session',
      code: `const listener = await listen(path);
writeWhole('address', url);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  stdio: ['ignore', 'ignore', 'ignore', listener],
  env: environment(),
});
daemon.unref();
return url;`,
      diagnosis: 'setsid',
    },
    {
      mistake: 'does not hand the socket over',
      code: `await listen(path);
writeWhole('address', url);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  detached: true,
  stdio: 'ignore',
  env: environment(),
});
daemon.unref();
return url;`,
      diagnosis: 'descriptor 3',
    },
    {
      mistake: 'gives the daemon the whole environment',
      code: `const listener = await listen(path);
writeWhole('address', url);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  detached: true,
  stdio: ['ignore', 'ignore', 'ignore', listener],
  env: process.env,
});
daemon.unref();
return url;`,
      diagnosis: 'environment()',
    },
    {
      mistake: 'does not note the address',
      code: `const listener = await listen(path);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  detached: true,
  stdio: ['ignore', 'ignore', 'ignore', listener],
  env: environment(),
});
daemon.unref();
return url;`,
      diagnosis: 'after a restart',
    },
  ],
};

async function checkHandOver(t: Trial): Promise<void> {
  const folder = t.folder();
  const [namespace, id, word, secret] = [t.word(), t.word(), t.word(), t.word()];
  const bundle = join(folder, 'io.containerd.runtime.v2.task', namespace, id);
  mkdirSync(bundle, { recursive: true });
  // In the daemon's place: says what it was given, and answers on descriptor 3.
  const daemon = join(folder, 'daemon.cjs');
  const facts = join(folder, 'facts.json');
  writeFileSync(
    daemon,
    `const { writeFileSync, renameSync } = require('node:fs');
setTimeout(() => process.exit(), 20000);
writeFileSync('${facts}.tmp', JSON.stringify({ pid: process.pid, argv: process.argv.slice(2), env: process.env }));
renameSync('${facts}.tmp', '${facts}');
require('node:net').createServer((socket) => socket.end('${word}')).listen({ fd: 3 });`,
  );
  const request = {
    namespace,
    id,
    address: join(folder, 'c.sock'),
    publishBinary: '/bin/true',
    debug: false,
  };
  const program = join(folder, 'start.mjs');
  writeFileSync(
    program,
    `import { writeSync } from 'node:fs';
const { startShim } = await import('${pathToFileURL(join(import.meta.dirname, 'shim-start.ts')).href}');
process.argv[1] = '${daemon}';
let said;
try {
  said = { url: await startShim(${JSON.stringify(request)}) };
} catch ({ name, message, gap }) {
  said = { error: { name, message, gap } };
}
writeSync(1, JSON.stringify(said));
process.exit(0);`,
  );
  t.cleanup(() => {
    if (existsSync(facts)) kill(readFacts(facts).pid, SIGNALS['SIGKILL']!);
  });
  const start = spawn(process.execPath, [...process.execArgv, program], {
    cwd: bundle,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, [`SECRET_${secret}`]: secret },
  });
  t.cleanup(() => void start.kill('SIGKILL'));
  let printed = '';
  start.stdout.on('data', (data: Buffer) => void (printed += data.toString()));
  const closed = new Promise<true>((resolve) => start.once('close', () => resolve(true)));
  const status = await within(20_000, new Promise((resolve) => start.once('exit', resolve)));
  expectSame('the status of `start`', 0, status, 'It has to end at once; the daemon is to stay.');
  const { url = '', error } = JSON.parse(printed || '{}') as {
    url?: string;
    error?: { name: string; message: string; gap: string };
  };
  if (error?.name === 'NotImplemented') throw new NotImplemented(error.gap);
  if (error)
    throw new Wrong({ expected: 'a shim to be started', observed: error.message, cause: 'See spawn.' });
  const path = url.replace(/^unix:\/\//, '');
  expectThat(
    url.startsWith('unix:///') && existsSync(path),
    'the address of a socket that is there',
    url,
    'Return url; the socket is made by listen(path).',
  );
  expectSame(
    'what `start`’s first connection was answered',
    word,
    await firstAnswer(path),
    'When `start` is over nobody holds the listening socket any more: the daemon must get it as descriptor 3.',
  );
  const noted = existsSync(join(bundle, 'address'))
    ? readFileSync(join(bundle, 'address'), 'utf8')
    : 'nothing';
  expectSame('the file `address`', url, noted, 'It is how containerd finds the shim again after a restart.');
  expectThat(
    (await within(2000, closed)) === true,
    'the end of `start`’s output',
    'a pipe that someone still holds',
    'containerd reads `start`’s output until every holder has closed it, and the daemon holds it: it must get "ignore".',
  );
  const { pid, argv, env } = readFacts(facts);
  expectSame(
    'the daemon’s session',
    pid,
    readStat(pid)?.session,
    'The daemon is in its caller’s session: a Ctrl-C or the end of a login would end it too. `detached` calls setsid.',
  );
  expectThat(
    !Object.values(env).includes(secret),
    'none of the caller’s variables',
    Object.keys(env).join(' '),
    'What the caller’s environment holds is not the shim’s, and would be the container’s next: environment().',
  );
  const given = (flag: string): string | undefined => argv[argv.indexOf(flag) + 1];
  expectSame(
    'what the daemon was told',
    { '-namespace': namespace, '-id': id, '-address': request.address, '-socket': path },
    Object.fromEntries(['-namespace', '-id', '-address', '-socket'].map((flag) => [flag, given(flag)])),
    'The daemon needs them on its command line.',
  );
}

const readFacts = (path: string): { pid: number; argv: string[]; env: Record<string, string> } =>
  JSON.parse(readFileSync(path, 'utf8')) as ReturnType<typeof readFacts>;

/** What is said to someone who connects, until the end. */
async function firstAnswer(path: string): Promise<string> {
  const socket = connect(path);
  let said = '';
  socket.on('data', (data) => void (said += data.toString()));
  const end = new Promise<string>((resolve) => {
    socket.once('error', (error) => resolve(error.message));
    socket.once('end', () => resolve(said));
  });
  const answered = (await within(8000, end)) ?? 'nothing';
  socket.destroy();
  return answered;
}
