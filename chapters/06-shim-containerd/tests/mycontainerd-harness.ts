import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeExecutable } from '../../01-processes/index.ts';
import {
  chainIds,
  loadArchive,
  makeBaseImage,
  openContentStore,
  openImageStore,
  resolveImage,
} from '../../04-overlayfs/index.ts';
import { defaultSpec, type OciSpec } from '../../05-runtime/index.ts';
import { jsonAny, OCI_TYPES } from '../api.ts';
import type { Mount } from '../api-common.ts';
import { connectContainerd, type ContainerdClient } from '../client.ts';

const chapters = join(import.meta.dirname, '../..');

/** mycontainerd with shim and runtime beside it, in a folder of its own, and a client. */
export interface Engine {
  directory: string;
  address: string;
  client: ContainerdClient;
  /** A name that nobody else uses, for namespace, cgroups and ids. */
  name: string;
  /** The image's name and the snapshot on which its containers stand. */
  image: string;
  parent: string;
  bin: string;
  process: ChildProcess;
  start(): Promise<void>;
  /** Ends mycontainerd, by SIGKILL if not told otherwise, and waits until it is gone. */
  end(signal?: NodeJS.Signals): Promise<void>;
  /** What is left of a container: mounts, cgroups, processes of this engine, bundle. */
  leftovers(id: string): string[];
  /** Ends everything and removes the folder. */
  destroy(): Promise<void>;
}

/** @param options.root where it keeps what outlives it; a folder of its own if not told */
export async function startEngine({ root }: { root?: string } = {}): Promise<Engine> {
  if (process.getuid!() !== 0) throw new Error('these tests need root: sudo npm test');
  const name = `06c${randomBytes(4).toString('hex')}`;
  const directory = mkdtempSync('/tmp/06c-');
  const bin = join(directory, 'bin');
  const programs = {
    mycontainerd: '06-shim-containerd',
    'containerd-shim-myrunc-v2': '06-shim-containerd',
    myrunc: '05-runtime',
  };
  for (const [program, chapter] of Object.entries(programs))
    await makeExecutable({
      source: join(chapters, chapter, `${program}.ts`),
      out: join(bin, program),
      singleThreaded: program !== 'mycontainerd',
    });
  const address = join(directory, 'c.sock');
  const engine: Engine = {
    directory,
    address,
    bin,
    name,
    client: connectContainerd(address, name),
    image: '',
    parent: '',
    process: undefined as never,
    async start() {
      const log = openSync(join(directory, 'log'), 'a');
      const flags = [
        '--root',
        root ?? join(directory, 'root'),
        '--state',
        join(directory, 'state'),
        '--address',
        address,
      ];
      engine.process = spawn(join(bin, 'mycontainerd'), [...flags, '--log-level', 'debug'], {
        stdio: ['ignore', log, log],
        env: { PATH: process.env['PATH'] },
      });
      try {
        await engine.client.ready(60_000);
      } catch (error) {
        await engine.end();
        throw error;
      }
    },
    async end(signal = 'SIGKILL') {
      const ended = new Promise((resolve) => engine.process.once('exit', resolve));
      if (engine.process.exitCode !== null || !engine.process.kill(signal)) return;
      await ended;
    },
    leftovers: (id) => leftovers(directory, name, id),
    async destroy() {
      for (const { id } of await engine.client.tasks.list({}).then(
        ({ tasks }) => tasks,
        () => [],
      )) {
        await engine.client.tasks.kill({ containerId: id, signal: 9, all: true }).catch(() => undefined);
        await engine.client.tasks.wait({ containerId: id }).catch(() => undefined);
        await engine.client.tasks.delete({ containerId: id }).catch(() => undefined);
      }
      engine.client.close();
      await engine.end('SIGTERM');
      rmSync(directory, { recursive: true, force: true });
      // Runtimes remove a container's cgroup, not the one above it, which others may share.
      // One tree may have two names.
      for (const path of cgroupsOf(name)) if (existsSync(path)) rmdirSync(path);
    },
  };
  await engine.start();
  return engine;
}

/** Brings the base image in by the API alone, as a client does: blobs, name, layers. */
export async function importBaseImage(engine: Engine): Promise<void> {
  const { client, directory } = engine;
  const archive = join(directory, 'base.tar');
  const { name, target } = await makeBaseImage({ out: archive });
  const scratch = join(directory, 'scratch');
  const content = await openContentStore(join(scratch, 'content'));
  await loadArchive(createReadStream(archive), {
    content,
    images: await openImageStore(join(scratch, 'images')),
  });

  const { lease } = await client.leases.create({ id: 'import' });
  const options = { lease: lease.id };
  const { manifest, config, descriptor } = await resolveImage(content, target);
  const labels: Record<string, string> = { 'containerd.io/gc.ref.content.config': manifest.config.digest };
  manifest.layers.forEach(({ digest }, i) => (labels[`containerd.io/gc.ref.content.l.${i}`] = digest));
  const chain = chainIds(config.rootfs.diff_ids);
  const configLabels = { 'containerd.io/gc.ref.snapshot.overlayfs': chain.at(-1)! };
  for (const blob of [...manifest.layers, manifest.config, descriptor]) {
    const write = client.content.write(options);
    const data = await content.readAll(blob.digest);
    await write.send({ action: 'WRITE', ref: blob.digest, data });
    await write.next();
    await write.send({
      action: 'COMMIT',
      offset: data.length,
      total: data.length,
      expected: blob.digest,
      labels: blob === descriptor ? labels : blob === manifest.config ? configLabels : {},
    });
    await write.next();
    write.end();
  }
  await client.images.create({ image: { name, target: descriptor } }, options);
  for (const [i, layer] of manifest.layers.entries()) {
    const snapshot = { snapshotter: 'overlayfs', key: `extract-${i}` };
    const { mounts } = await client.snapshots.prepare({ ...snapshot, parent: chain[i - 1] ?? '' }, options);
    const { applied } = await client.diff.apply({ diff: layer, mounts });
    if (applied.digest !== config.rootfs.diff_ids[i]) throw new Error(`layer ${i}: ${applied.digest}`);
    await client.snapshots.commit({ ...snapshot, name: chain[i]! }, options);
  }
  await client.leases.delete({ id: lease.id });
  Object.assign(engine, { image: name, parent: chain.at(-1)! });
}

export interface Created {
  id: string;
  pid: number;
  /** The file that the container's output goes to. */
  output: string;
  cgroup: string;
}

/** Makes a container and its task, which waits for Start. */
export async function createTask(
  engine: Engine,
  args: string[],
  { id = `c${randomBytes(4).toString('hex')}`, runtime = 'io.containerd.myrunc.v2' } = {},
): Promise<Created> {
  const { client, name, directory, parent } = engine;
  const { mounts } = await client.snapshots.prepare({
    snapshotter: 'overlayfs',
    key: id,
    parent,
    labels: { 'containerd.io/gc.root': 'test' },
  });
  const spec = testSpec(args, `/${name}/${id}`);
  await client.containers.create({
    container: {
      id,
      image: engine.image,
      snapshotter: 'overlayfs',
      snapshotKey: id,
      runtime: { name: runtime },
      spec: jsonAny(OCI_TYPES.spec, spec),
    },
  });
  const output = join(directory, `${id}.out`);
  const { pid } = await client.tasks.create({
    containerId: id,
    rootfs: mounts as Mount[],
    stdout: `file://${output}`,
    stderr: `file://${output}`,
  });
  return { id, pid, output, cgroup: `/${name}/${id}` };
}

/** The same, started. */
export async function runTask(...args: Parameters<typeof createTask>): Promise<Created> {
  const created = await createTask(...args);
  await args[0].client.tasks.start({ containerId: created.id });
  return created;
}

function testSpec(args: string[], cgroupsPath: string): OciSpec {
  const spec = defaultSpec();
  return {
    ...spec,
    process: { ...spec.process!, args, terminal: false },
    root: { path: 'rootfs', readonly: false },
    linux: { ...spec.linux, cgroupsPath },
  };
}

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (await holds()) return;
    await sleep(25);
  }
  throw new Error(`waited in vain until ${what}`);
}

/** The processes whose command line has all these words. */
export function processesWith(...words: string[]): number[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return words.every((word) => line.includes(word));
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** The shim of a container. */
export const shimPid = (engine: Engine, id: string): number | undefined =>
  processesWith('containerd-shim', `-id ${id}`, engine.address)[0];

function leftovers(directory: string, name: string, id: string): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${directory}/state`) && line.includes(id));
  const cgroups = cgroupsOf(`${name}/${id}`);
  const shims = processesWith('containerd-shim', `-id ${id}`).map((pid) => `shim ${pid}`);
  const bundle = join(directory, 'state/io.containerd.runtime.v2.task', name, id);
  return [...mounts, ...cgroups, ...shims, ...(existsSync(bundle) ? [bundle] : [])];
}

/** A cgroup's directories, in one tree or in many. */
const cgroupsOf = (path: string): string[] =>
  ['.', ...readdirSync('/sys/fs/cgroup')]
    .map((tree) => join('/sys/fs/cgroup', tree, path))
    .filter(existsSync);
