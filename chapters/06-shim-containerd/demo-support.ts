import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, makeExecutable } from '../01-processes/index.ts';
import { openCgroup } from '../03-cgroups/index.ts';
import { findBusybox, unmountAll, type Mount } from '../04-overlayfs/index.ts';
import { defaultSpec, type OciSpec } from '../05-runtime/index.ts';
import { readJournal } from './journal.ts';
import { decode } from './protobuf.ts';
import {
  forwardServiceType,
  shimProtos,
  taskServiceType,
  type Envelope,
  type TaskService,
} from './task-api.ts';
import { connectTtrpc, serveTtrpc, type TtrpcConnection } from './ttrpc.ts';

/** A place in /tmp where shims run, with the part of containerd that they need: someone who takes their events. */
export interface ShimBench {
  directory: string;
  shim: string;
  events: { topic: string; event: Record<string, unknown> }[];
  /** The daemon goes away (all connections end) and comes back. */
  stopDaemon(): void;
  startDaemon(): Promise<void>;
  /** A bundle as containerd makes it, and mounts for its root filesystem. */
  bundle(options: BundleOptions): TestBundle;
  /** Kills what is left, unmounts, removes. */
  close(): Promise<void>;
}

export interface BundleOptions {
  args: string[];
  terminal?: boolean;
  /** Leaves the container in this pid namespace of the host's. */
  hostPid?: boolean;
}

export interface TestBundle {
  id: string;
  path: string;
  rootfs: Mount[];
  journal: string;
  /** Runs `shim … start` as containerd does. */
  start(): ShimRun;
  delete(): ShimRun;
  connect(): Promise<{ task: TaskService; connection: TtrpcConnection }>;
  /** Everything that one stream of the journal brought, and whether it has ended. */
  output(stream?: 1 | 2): Promise<{ text: string; ended: boolean }>;
}

export interface ShimRun {
  status: number | null;
  stdout: Buffer;
  stderr: string;
}

const NAMESPACE = 'bench';

/** Builds the shim and myrunc side by side, and makes a root filesystem of one busybox. */
export async function openShimBench(prefix: string): Promise<ShimBench> {
  const directory = mkdtempSync(`/tmp/${prefix}-`);
  const shim = join(directory, 'bin/containerd-shim-myrunc-v2');
  const chapters = dirname(dirname(fileURLToPath(import.meta.url)));
  const programs = [
    ['06-shim-containerd/containerd-shim-myrunc-v2.ts', shim],
    ['05-runtime/myrunc.ts', join(directory, 'bin/myrunc')],
  ] as const;
  for (const [source, out] of programs)
    await makeExecutable({ source: join(chapters, source), out, singleThreaded: true });
  const image = join(directory, 'image');
  makeRoot(image);

  const address = join(directory, 'daemon.sock');
  const events: ShimBench['events'] = [];
  const bundles: TestBundle[] = [];
  let daemon = await takeEvents(`${address}.ttrpc`, events);

  return {
    directory,
    shim,
    events,
    stopDaemon: () => daemon.close(),
    startDaemon: async () => {
      daemon = await takeEvents(`${address}.ttrpc`, events);
    },
    bundle: (options) => {
      const bundle = makeBundle({ ...options, directory, image, shim, address });
      bundles.push(bundle);
      return bundle;
    },
    close: async () => {
      for (const bundle of bundles) {
        const pid = shimPid(bundle.id);
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
        if (existsSync(bundle.path)) bundle.delete();
        unmountAll(join(bundle.path, 'rootfs'));
      }
      daemon.close();
      openCgroup(`/${basename(directory)}`).remove();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface BundlePlaces {
  directory: string;
  image: string;
  shim: string;
  address: string;
}

function makeBundle({
  args,
  terminal = false,
  hostPid = false,
  ...places
}: BundleOptions & BundlePlaces): TestBundle {
  const { directory, image, shim, address } = places;
  const id = `shim-${randomBytes(5).toString('hex')}`;
  const path = join(directory, 'state/io.containerd.runtime.v2.task', NAMESPACE, id);
  const layers = { upper: join(directory, id, 'upper'), work: join(directory, id, 'work') };
  for (const folder of [join(path, 'rootfs'), layers.upper, layers.work])
    mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(path, 'config.json'),
    JSON.stringify(specOf(id, basename(directory), { args, terminal, hostPid })),
  );
  const flags = ['-namespace', NAMESPACE, '-address', address, '-publish-binary', '/bin/false', '-id', id];
  const run = (more: string[]): ShimRun => {
    const env = { PATH: process.env['PATH'], TTRPC_ADDRESS: `${address}.ttrpc` };
    const { status, stdout, stderr } = spawnSync(shim, [...flags, ...more], { cwd: path, env });
    return { status, stdout, stderr: stderr.toString() };
  };
  const journal = join(directory, id, 'journal');
  return {
    id,
    path,
    rootfs: [
      {
        type: 'overlay',
        source: 'overlay',
        options: [`lowerdir=${image}`, `upperdir=${layers.upper}`, `workdir=${layers.work}`],
      },
    ],
    journal,
    start: () => run(['start']),
    delete: () => run(['-bundle', path, 'delete']),
    connect: async () => {
      const connection = await connectTtrpc(readFileSync(join(path, 'address'), 'utf8'));
      return { connection, task: connection.client<TaskService>(taskServiceType()) };
    },
    output: async (stream = 1) => {
      let text = '';
      let ended = false;
      for await (const record of readJournal(journal))
        if (record.stream === stream) {
          text += record.data.toString();
          ended = record.data.length === 0;
        }
      return { text, ended };
    },
  };
}

function specOf(
  id: string,
  cgroup: string,
  { args, terminal = false, hostPid = false }: BundleOptions,
): OciSpec {
  const spec = defaultSpec();
  spec.process = { ...spec.process!, args, terminal };
  spec.root = { path: 'rootfs', readonly: false };
  spec.linux = { ...spec.linux, cgroupsPath: join('/', cgroup, id) };
  if (hostPid) spec.linux.namespaces = spec.linux.namespaces!.filter(({ type }) => type !== 'pid');
  return spec;
}

/** A root filesystem of one program under many names. */
function makeRoot(root: string): void {
  for (const folder of ['bin', 'proc', 'sys', 'dev', 'etc', 'tmp'])
    mkdirSync(join(root, folder), { recursive: true });
  copyFileSync(findBusybox(), join(root, 'bin/busybox'));
  const applets = [
    'sh',
    'cat',
    'echo',
    'sleep',
    'true',
    'kill',
    'stty',
    'tty',
    'seq',
    'id',
    'head',
    'wc',
    'ps',
  ];
  for (const name of applets) symlinkSync('busybox', join(root, 'bin', name));
}

/** What a daemon does with a shim's events: takes each, and answers. */
async function takeEvents(path: string, events: ShimBench['events']): Promise<{ close(): void }> {
  const server: Server = createServer();
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  const forward = async ({ envelope }: { envelope: Envelope }): Promise<object> => {
    const { typeUrl, value } = envelope.event!;
    events.push({ topic: envelope.topic, event: decode(shimProtos().lookupType(typeUrl), value) });
    return {};
  };
  serveTtrpc(server, [{ service: forwardServiceType(), functions: { forward } }]);
  rmSync(path, { force: true });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    close: () => {
      server.close();
      sockets.forEach((socket) => socket.destroy());
    },
  };
}

/** The daemon of one container, by its command line. */
export function shimPid(id: string): number | undefined {
  const found = spawnSync('ps', ['-ww', '-eo', 'pid=,args='], { encoding: 'utf8' }).stdout.split('\n');
  const line = found.find(
    (text) => text.includes('containerd-shim-myrunc-v2') && text.includes(`-id ${id} `),
  );
  return line === undefined ? undefined : Number.parseInt(line);
}

/** Waits until something holds; false when it does not within twenty seconds. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let i = 0; i < 1000; i++) {
    if (await holds()) return true;
    await sleep(20);
  }
  return false;
}

/** A process ends asynchronously after SIGKILL. A zombie has ended: whoever inherited it has yet to take its status. */
export const gone = (pid: number): Promise<boolean> => eventually(() => !isRunning(pid));

/** A fifo that a client would have made. */
export function makeFifo(path: string): string {
  spawnSync('mkfifo', ['-m', '600', path]);
  return path;
}

/** Reads a fifo to its end, as a client does. */
export function readFifo(path: string): { text: string; ended: Promise<string> } {
  const cat = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'ignore'] });
  const reader = {
    text: '',
    ended: new Promise<string>((resolve) => cat.on('close', () => resolve(reader.text))),
  };
  cat.stdout.setEncoding('utf8').on('data', (chunk: string) => (reader.text += chunk));
  return reader;
}
