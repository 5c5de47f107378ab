import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { act, isRunning, readCmdline, readMountinfo, readStatus } from '../chapters/01-processes/index.ts';
import { namespaceIds } from '../chapters/02-namespaces/index.ts';
import { openCgroup } from '../chapters/03-cgroups/index.ts';
import { findBusybox, makeBaseImage } from '../chapters/04-overlayfs/index.ts';
import { BIN } from './build.ts';
import { processes, supervisorPid, type Engine } from './engine.ts';

/** What runs in the container: changes a file of the image, says so, and ends with the status that it is told. */
const SCRIPT =
  'echo "learner:x:1000:1000::/:/bin/sh" >> /etc/passwd; echo "ready as $$"; read status; exit "$status"';
const LIMITS = { memory: 64 * 1024 * 1024, cpus: 0.5, pids: 32 };
const NAMESPACES = ['mnt', 'uts', 'ipc', 'pid', 'net', 'cgroup', 'user', 'time'] as const;

/**
 * Runs one container through every layer of an engine and shows, from the kernel's own files, that each did its part. Returns whether
 * every claim held; false when aborted. The container and the image's archive are taken away again.
 */
export async function prove(engine: Engine, signal: AbortSignal): Promise<boolean> {
  const name = `proof-${randomBytes(3).toString('hex')}`;
  const mydocker = (...args: string[]): ChildProcess =>
    spawn(join(BIN, 'mydocker'), ['--host', `unix://${engine.socket}`, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  const ask = async (...args: string[]): Promise<string> => (await finished(mydocker(...args))).out.trim();

  return act(
    'One container through every layer',
    async (d) => {
      await d.step('A base image', {
        why: 'A container starts from files. These are this machine’s own static busybox and a few lines of /etc, packed as an OCI image.',
        run: async (s) => {
          const folder = mkdtempSync(join(tmpdir(), 'base-image-'));
          s.cleanup('the archive', () => rmSync(folder, { recursive: true }));
          const out = join(folder, 'busybox.tar');
          await makeBaseImage({ busybox: findBusybox(), out });
          const loaded = await ask('load', '-i', out);
          s.call(`mydocker load -i busybox.tar`, loaded);
          const image = JSON.parse(await ask('inspect', '--type', 'image', 'busybox')) as [
            { Id: string; RootFS: { Layers: string[] } },
          ];
          s.evidence('busybox:latest', { config: image[0].Id, layer: image[0].RootFS.Layers.join(' ') });
          s.claim(
            'the image is known by the digest of its configuration',
            /^sha256:[0-9a-f]{64}$/.test(image[0].Id),
          );
        },
      });

      const args = [
        'run',
        '-i',
        '--name',
        name,
        '--memory',
        '64m',
        '--cpus',
        '0.5',
        '--pids-limit',
        '32',
        'busybox',
        'sh',
        '-c',
        SCRIPT,
      ];
      const client = mydocker(...args);
      d.cleanup(`the container ${name}`, async () => {
        client.kill('SIGKILL');
        await finished(mydocker('rm', '-f', name));
      });
      const result = finished(client);
      await said(client, 'ready');
      const [container] = JSON.parse(await ask('inspect', name)) as [{ Id: string; State: { Pid: number } }];
      const pid = container.State.Pid;
      const shim = readStatus(pid)!.ppid;

      await d.step('Five programs, and who is whose child', {
        why: 'Each layer is a program of its own, so that each can end, or be replaced, without the container noticing.',
        run: (s) => {
          s.call(`mydocker ${args.slice(0, -1).join(' ')} …`, 'running');
          const daemon = engine.pid;
          const supervisor = supervisorPid(engine)!;
          const row = (id: number): string =>
            `pid ${id}, child of ${readStatus(id)!.ppid}: ${commandLine(id)}`;
          s.evidence('the chain', {
            mydocker: row(client.pid!),
            mydockerd: row(daemon),
            mycontainerd: row(supervisor),
            shim: row(shim),
            myrunc: 'gone: it made the container and ended',
            container: row(pid),
          });
          s.claim(
            'the container’s parent is the shim',
            commandLine(shim).includes('containerd-shim-myrunc-v2'),
          );
          s.claim(
            'no daemon is an ancestor of the container',
            ![daemon, supervisor].some((id) => ancestors(pid).includes(id)),
          );
          const runtimes = processes().filter(
            (p) => p.args.some((a) => a.endsWith('/myrunc')) && p.args.includes(container.Id),
          );
          s.claim('no myrunc is left', runtimes.length === 0);
        },
      });

      await d.step('What it can see: namespaces', {
        why: 'A namespace is a number that the kernel compares. Where the numbers differ, the container lives in a world of its own.',
        run: (s) => {
          const [host, inside] = [namespaceIds('self'), namespaceIds(pid)];
          for (const kind of NAMESPACES) {
            if (host[kind] === undefined) s.note(`this kernel has no ${kind} namespaces`);
            else
              s.evidence(
                `${kind}${host[kind] === inside[kind] ? ' (shared with the host, as Docker does by default)' : ''}`,
                { host: host[kind], container: inside[kind] },
              );
          }
          const own = NAMESPACES.filter((kind) => host[kind] !== inside[kind]);
          for (const kind of NAMESPACES.slice(0, 5))
            s.claim(`a ${kind} namespace of its own`, own.includes(kind));
          const inner = readStatus(pid)!.nsPid;
          s.evidence('process id', { host: pid, container: inner.at(-1) });
          s.claim('inside it is process 1', inner.at(-1) === 1);
        },
      });

      await d.step('What it may use: the cgroup', {
        why: 'The kernel counts what the processes of a cgroup use, and stops them at the limit.',
        run: (s) => {
          const cgroup = openCgroup(`/mydocker/${container.Id}`);
          const { memory, cpu, pids } = cgroup.stats();
          s.evidence(`cgroup ${cgroup.path}, in the trees of ${cgroup.layout}`, cgroup.paths());
          s.evidence('limits', {
            memory: `${memory.limit} bytes (asked: ${LIMITS.memory})`,
            cpu: `${cpu.quota} µs of every ${cpu.period} µs (asked: ${LIMITS.cpus} processors)`,
            pids: `${pids.limit} (asked: ${LIMITS.pids})`,
          });
          s.evidence('use', { memory: `${memory.usage} bytes`, cpu: `${cpu.usage} ns`, pids: pids.current });
          s.claim('the container is in it', cgroup.pids().includes(pid));
          s.claim('its memory limit is the one that was asked for', memory.limit === LIMITS.memory);
          s.claim('so is its share of the processors', cpu.quota === LIMITS.cpus * cpu.period);
          s.claim('so is the number of its processes', pids.limit === LIMITS.pids);
          s.claim(
            'it uses some memory, less than its limit',
            memory.usage > 0 && memory.usage < LIMITS.memory,
          );
        },
      });

      await d.step('What it is made of: the overlay', {
        why: 'The image is never written. A changed file is copied up, into a directory that belongs to this container alone.',
        run: (s) => {
          const root = readMountinfo(pid)!.find((mount) => mount.mountPoint === '/')!;
          const merged =
            readMountinfo(shim)!.find((mount) => mount.device === root.device)?.mountPoint ??
            'not visible from the shim';
          const option = (key: string): string =>
            root.superOptions.find((o) => o.startsWith(`${key}=`))?.slice(key.length + 1) ?? '';
          const [lower, upper, work] = [option('lowerdir'), option('upperdir'), option('workdir')];
          s.evidence(`${root.type} on / of the container`, { lower, upper, work, merged });
          const file = 'etc/passwd';
          const describe = (path: string): string =>
            `inode ${statSync(path).ino}, ${statSync(path).size} bytes`;
          const below = join(lower.split(':').at(-1)!, file);
          s.evidence(`/${file}`, {
            lower: describe(below),
            upper: describe(join(upper, file)),
            container: describe(`/proc/${pid}/root/${file}`),
          });
          s.claim('its root is an overlay', root.type === 'overlay');
          s.claim(
            `/${file} was copied up, with the new line`,
            readFileSync(join(upper, file), 'utf8').includes('learner:'),
          );
          s.claim('the image’s own copy is as it was', !readFileSync(below, 'utf8').includes('learner:'));
        },
      });

      await d.step('How it ends: the exit status', {
        why: 'The status goes from the container to the shim that reaped it, and up through every layer to the person who typed.',
        run: async (s) => {
          client.stdin!.end('42\n');
          s.call('write(stdin, "42")', 3);
          const { code } = await result;
          const [after] = JSON.parse(await ask('inspect', name)) as [
            { State: { Status: string; ExitCode: number } },
          ];
          s.evidence('exit status', {
            'the container’s, in mydockerd': after.State.ExitCode,
            'mydocker’s own': code,
          });
          s.claim('it is the one that was sent in', code === 42 && after.State.ExitCode === 42);
          s.claim('the container’s process is gone', !isRunning(pid));
          s.claim('and so is its shim', !isRunning(shim));
        },
      });
    },
    { signal },
  );
}

const commandLine = (pid: number): string => (readCmdline(pid) ?? []).join(' ').slice(0, 90);

/** The ids of a process's parent, its parent's parent, and so on to 1. */
function ancestors(pid: number): number[] {
  const parent = readStatus(pid)?.ppid ?? 0;
  return parent > 0 ? [parent, ...ancestors(parent)] : [];
}

function finished(child: ChildProcess): Promise<{ code: number | null; out: string }> {
  let out = '';
  child.stdout!.on('data', (data) => (out += data));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out }));
  });
}

/** Waits until a program has written a text. @throws Error when it ends first */
function said(child: ChildProcess, text: string): Promise<void> {
  let out = '';
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', (data) => {
      out += data;
      if (out.includes(text)) resolve();
    });
    child.once('close', (code) =>
      reject(new Error(`the container ended with ${code} before it was ready: ${out}`)),
    );
  });
}
