import { randomBytes } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { demo, isRunning, kill, readCmdline, readStatus, SIGNALS } from '../01-processes/index.ts';
import { readJournal } from '../06-shim-containerd/index.ts';
import type { ApiClient } from './api-client.ts';
import { demultiplex } from './cli-demultiplex.ts';
import { demoEngine } from './demo-engine.ts';

/** Of what is asked about a container, what is looked at here. */
interface Inspected {
  Id: string;
  State: { Status: string; Pid: number; ExitCode: number };
  NetworkSettings: { IPAddress: string; Gateway: string };
}

await demo('07 daemon and command line: who knows what there is', async (d) => {
  const engine = await demoEngine(mkdtempSync(join(tmpdir(), 'demo-07-')));
  d.cleanup('the containers, the engine, its bridge, its folder', () => engine.stop());
  let daemon = await engine.start();
  let api: ApiClient = engine.client();
  d.cleanup('the connection', () => api.close());
  const suffix = randomBytes(3).toString('hex');
  let made = 0;
  const inspect = (name: string): Promise<Inspected> => api.json('GET', `/containers/${name}/json`);
  const remove = async (name: string): Promise<void> => {
    await api.json('DELETE', `/containers/${name}`, { query: { force: true, v: true } });
  };
  /** POST /containers/create and /start, which is what `docker run -d` is. */
  const run = async (script: string, host: object = {}): Promise<string> => {
    const name = `demo-${suffix}-${made++}`;
    await create(api, name, script, host);
    await api.request('POST', `/containers/${name}/start`);
    return name;
  };

  await d.step('A daemon is a socket that answers', {
    why: 'The command line does nothing by itself: it says over HTTP what is wanted. Whoever speaks the same words gets the same engine.',
    run: async (s) => {
      const answer = await talk(engine.socket, 'GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      s.call('GET /_ping', answer.split('\r\n')[0]);
      s.evidence('the answer', headersOf(answer));
      s.claim('it says which version of the API it speaks', headersOf(answer)['api-version'] === '1.50');
      const { mode } = statSync(engine.socket);
      s.evidence('the socket', { path: engine.socket, mode: (mode & 0o777).toString(8) });
      s.claim('only root and its group may talk to it', (mode & 0o007) === 0);
      await api.request('POST', '/images/load', { body: createReadStream(engine.archive) }).then(drain);
      const images = await api.json<{ Id: string; RepoTags: string[] }[]>('GET', '/images/json');
      s.call('POST /images/load, GET /images/json', images.map(({ RepoTags }) => RepoTags.join()).join());
      s.claim(
        'the image that was sent is there',
        images.some(({ RepoTags }) => RepoTags.includes('busybox:latest')),
      );
    },
  });

  await d.step('Created is not started', {
    why: 'Create writes down what a container is: a record, and a layer of files of its own. Start makes a process of it. Between the two, a client can attach and miss nothing.',
    run: async (s) => {
      const name = `demo-${suffix}-${made++}`;
      const { Id } = await create(api, name, 'echo out; echo err >&2; sleep 0.2; exit 7', {});
      s.call('POST /containers/create', Id.slice(0, 12));
      const before = await inspect(name);
      s.claim('it has no process yet', before.State.Status === 'created' && before.State.Pid === 0);
      const record = join(engine.dataRoot, 'containers', Id, 'config.json');
      s.evidence('the record on disk', { file: record, bytes: statSync(record).size });

      const stream = await api.hijack(`/containers/${name}/attach`, {
        query: { stream: 1, stdout: 1, stderr: 1 },
      });
      s.call('POST /containers/…/attach, Connection: Upgrade', '101 UPGRADED: no longer HTTP');
      const waiting = api.json<{ StatusCode: number }>('POST', `/containers/${name}/wait`, {
        query: { condition: 'next-exit' },
      });
      await api.request('POST', `/containers/${name}/start`);
      s.call('POST /containers/…/start', 204);
      const bytes = await readAll(stream);
      s.evidence('what came over the connection', {
        header: bytes.subarray(0, 8).toString('hex').replace(/../g, '$& '),
        meaning: `stream ${bytes[0]}, ${bytes.readUInt32BE(4)} bytes follow`,
      });
      const parts: string[] = [];
      for await (const { stream: which, data } of demultiplex(asChunks(bytes)))
        parts.push(`${which}: ${data.toString().trim()}`);
      s.evidence('taken apart', Object.fromEntries(parts.map((part, index) => [index + 1, part])));
      s.claim('both streams came over one connection', parts.sort().join() === 'stderr: err,stdout: out');
      const { StatusCode } = await waiting;
      s.call('POST /containers/…/wait', StatusCode);
      s.claim('the exit status is the command’s', StatusCode === 7);
    },
  });

  await d.step('Nobody’s child', {
    why: 'A daemon must be replaceable while containers run. So it starts nothing itself: it asks containerd, which starts a shim, which is the parent.',
    run: async (s) => {
      const name = await run('i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done');
      const { State, NetworkSettings, Id } = await inspect(name);
      const parent = readStatus(State.Pid)!.ppid;
      s.evidence('processes', {
        mydockerd: `${daemon}`,
        mycontainerd: `${engine.supervisor()}, child of ${readStatus(engine.supervisor()!)!.ppid}`,
        shim: `${parent}, child of ${readStatus(parent)!.ppid}`,
        container: `${State.Pid}, child of ${parent}`,
      });
      s.claim(
        'its parent is the shim',
        readCmdline(parent)!.some((arg) => arg.includes('containerd-shim-myrunc-v2')),
      );
      s.evidence('network', {
        address: NetworkSettings.IPAddress,
        gateway: NetworkSettings.Gateway,
        bridge: engine.bridge,
      });
      s.claim('it has an address on the bridge', NetworkSettings.IPAddress.split('.')[0] === '10');

      kill(daemon, SIGNALS['SIGKILL']!);
      while (isRunning(daemon)) await sleep(10);
      s.call(`kill(${daemon}, SIGKILL)`, 0);
      const journal = join(engine.dataRoot, 'containers', Id, `${Id}.journal`);
      const linesThen = await countRecords(journal);
      await eventually(async () => (await countRecords(journal)) > linesThen);
      const linesNow = await countRecords(journal);
      s.evidence('without a daemon', {
        container: isRunning(State.Pid) ? 'runs' : 'is gone',
        journal: `${linesThen} records, then ${linesNow}`,
      });
      s.claim('the container runs and its output is kept', isRunning(State.Pid) && linesNow > linesThen);

      api.close();
      daemon = await engine.start();
      api = engine.client();
      s.call('mydockerd (again)', daemon);
      const found = await inspect(name);
      s.claim(
        'the new daemon has found it',
        found.State.Status === 'running' && found.State.Pid === State.Pid,
      );
      const log = await readAll(
        await api.request('GET', `/containers/${name}/logs`, { query: { stdout: 1 } }),
      );
      const numbers: number[] = [];
      for await (const { data } of demultiplex(asChunks(log)))
        numbers.push(...data.toString().trim().split('\n').map(Number));
      s.evidence('the log', { first: numbers[0], last: numbers.at(-1), lines: numbers.length });
      s.claim(
        'and its log has no gap',
        numbers.every((number, index) => number === index + 1),
      );
      await remove(name);
    },
  });

  await d.step('Asked to stop, and then made to', {
    why: 'SIGTERM can be heard, and answered by putting things in order. SIGKILL cannot. Stop is the first, some patience, and the second.',
    run: async (s) => {
      const polite = await run('trap "exit 5" TERM; while true; do sleep 0.05; done');
      const deaf = await run('trap "" TERM; while true; do sleep 0.05; done');
      for (const name of [polite, deaf]) {
        const { Pid } = (await inspect(name)).State;
        // Caught or ignored: the shell has set its trap.
        await eventually(() => {
          const { caught, ignored } = readStatus(Pid)!.signals;
          return ((caught | ignored) >> BigInt(SIGNALS['SIGTERM']! - 1)) % 2n === 1n;
        });
      }
      for (const name of [polite, deaf]) {
        // Who hears it is quick, but the machine may be slow; who does not need not be waited for long.
        const [what, t] = name === polite ? ['polite', 20] : ['deaf', 1];
        await api.request('POST', `/containers/${name}/stop`, { query: { t } });
        const { ExitCode } = (await inspect(name)).State;
        s.call(`POST /containers/${what}/stop?t=${t}`, `exit status ${ExitCode}`);
        s.claim(
          name === polite ? 'who hears SIGTERM chooses the status' : 'who does not is killed: 128 + 9',
          ExitCode === (name === polite ? 5 : 137),
        );
        await remove(name);
      }
    },
  });

  await d.step('Attack: whoever may talk to the daemon is root', {
    why: 'The daemon does as root what it is asked. It can be asked to show the host’s whole file system to a container.',
    run: async (s) => {
      const name = await run('head -c 20 /host/etc/shadow; id -u', { Binds: ['/:/host:ro'] });
      await api.json('POST', `/containers/${name}/wait`);
      const log = await readAll(
        await api.request('GET', `/containers/${name}/logs`, { query: { stdout: 1 } }),
      );
      let out = '';
      for await (const { data } of demultiplex(asChunks(log))) out += data.toString();
      s.call('POST /containers/create {"HostConfig": {"Binds": ["/:/host:ro"]}}', 'created');
      const shadow = readFileSync('/etc/shadow', 'utf8').slice(0, 20);
      s.evidence('what the container read', {
        'of /etc/shadow': `${out.slice(0, 5)}… (${out.length} bytes)`,
      });
      s.claim('it read the host’s password file', out.startsWith(shadow));
      s.note('The remedy is the door: the socket is root’s, mode 660. To be in its group is to be root.');
      const { mode, uid } = statSync(engine.socket);
      s.claim('nobody else can open it', uid === 0 && (mode & 0o777) === 0o660);
      await remove(name);
    },
  });
});

/** Waits until something holds, twenty seconds at most: what is claimed is looked at afterwards. */
async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400 && !(await holds()); tries++) await sleep(50);
}

/** POST /containers/create of a shell script. */
function create(api: ApiClient, name: string, script: string, host: object): Promise<{ Id: string }> {
  const body = { Image: 'busybox', Cmd: ['sh', '-c', script], HostConfig: host };
  return api.json('POST', '/containers/create', { query: { name }, body });
}

/** Says something to a socket, byte for byte, and returns all that it answers. */
async function talk(path: string, text: string): Promise<string> {
  const socket = connect(path);
  socket.write(text);
  return (await readAll(socket)).toString();
}

function headersOf(answer: string): Record<string, string> {
  const lines = answer.split('\r\n\r\n')[0]!.split('\r\n').slice(1);
  return Object.fromEntries(
    lines
      .map((line) => line.split(': ') as [string, string])
      .map(([key, value]) => [key.toLowerCase(), value] as const)
      .filter(([key]) => /^(api-version|ostype|server)$/.test(key)),
  );
}

async function readAll(stream: NodeJS.ReadableStream | Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function drain(stream: NodeJS.ReadableStream): Promise<void> {
  await readAll(stream);
}

async function* asChunks(bytes: Buffer): AsyncIterable<Buffer> {
  yield bytes;
}

async function countRecords(journal: string): Promise<number> {
  let count = 0;
  for await (const _ of readJournal(journal)) count++;
  return count;
}
