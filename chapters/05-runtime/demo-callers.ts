import { spawnSync } from 'node:child_process';
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from '../01-processes/index.ts';
import { openCgroup } from '../03-cgroups/index.ts';
import { sleep } from './hooks.ts';
import type { OciSpec } from './index.ts';

/** What these steps need of the demo. */
interface Place {
  dir: string;
  id: string;
  cgroup: string;
  bundle: string;
  program: string;
}

/** Waits for what is about to happen; not for ever: a claim, or the kernel, then says that it did not. */
export function waitUntil(holds: () => boolean): void {
  for (const end = performance.now() + 60_000; !holds() && performance.now() < end;) sleep(10);
}

/** A person who is not root makes a container: with a user namespace, and without a cgroup. */
export function withoutRoot(s: Step, { dir, id, bundle, program }: Place): void {
  const uid = 20_000 + Math.floor(Math.random() * 10_000);
  const home = join(dir, 'home');
  cpSync(join(bundle, 'rootfs'), join(home, 'rootfs'), { recursive: true, verbatimSymlinks: true });
  for (const path of [home, join(home, 'rootfs')]) chownSync(path, uid, uid);
  const person = (...args: string[]): { status: number | null; out: string } => {
    const { status, stdout, stderr } = spawnSync(program, ['--root', join(home, 'state'), ...args], {
      uid,
      gid: uid,
      cwd: home,
      env: { PATH: process.env['PATH'] },
      encoding: 'utf8',
    });
    return { status, out: `${stdout}${stderr}`.trim() };
  };
  s.call(`myrunc spec --rootless (as user ${uid})`, person('spec', '--rootless').status);
  const spec = JSON.parse(readFileSync(join(home, 'config.json'), 'utf8')) as OciSpec;
  spec.process!.terminal = false;
  spec.process!.args = [
    'sh',
    '-c',
    'id -u; echo $(cat /proc/self/uid_map); cat /proc/self/setgroups; touch /mine',
  ];
  spec.root!.readonly = false;
  writeFileSync(join(home, 'config.json'), JSON.stringify(spec));
  const { status, out } = person('run', id);
  const [inside, map, setgroups] = out.split('\n');
  s.call(`myrunc run ID (as user ${uid})`, status);
  s.evidence('the user namespace', {
    'id inside': inside,
    'inside, outside, how many': map,
    'groups may be changed': setgroups,
  });
  const owner = spawnSync('stat', ['-c', '%u', join(home, 'rootfs/mine')], {
    encoding: 'utf8',
  }).stdout.trim();
  s.evidence('a file that its root made', { 'owner on the host': owner });
  s.claim(
    'root of the container is that very user, and has no more rights on the host than before',
    status === 0 && inside === '0' && map === `0 ${uid} 1` && setgroups === 'deny' && owner === String(uid),
  );
}

/** podman, if there is one, makes its container with this runtime. */
export function byPodman(s: Step, { dir, bundle, cgroup, program }: Place): void {
  if (spawnSync('podman', ['--version']).error) {
    s.note('There is no podman on this machine: install the package podman to see it call this runtime.');
    return;
  }
  // Between the two a script that takes down what is said.
  const calls = join(dir, 'calls');
  const listener = join(dir, 'listener');
  writeFileSync(listener, `#!/bin/sh\necho "$@" >> ${calls}\nexec ${program} "$@"\n`, { mode: 0o755 });
  const at = (name: string): string => join(dir, 'podman', name);
  mkdirSync(at(''));
  s.cleanup(`remove the cgroup ${cgroup}, which podman leaves`, () => {
    const own = openCgroup(cgroup);
    waitUntil(() => own.pids().length === 0); // its monitor is about to end
    own.remove();
  });
  const { status, stdout, stderr } = spawnSync(
    'podman',
    [
      ...['--root', at('root'), '--runroot', at('run'), '--tmpdir', at('tmp'), '--storage-driver', 'vfs'],
      ...['--events-backend', 'none', '--cgroup-manager', 'cgroupfs', '--runtime', listener],
      ...['run', '--rm', '--network', 'none', '--cgroup-parent', cgroup, '--hostname', 'by-podman'],
      // It asks for limits that root itself may not have where the machine is a container.
      ...['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'],
      ...['--rootfs', join(bundle, 'rootfs'), 'sh', '-c', 'echo $$ on $(hostname); exit 5'],
    ],
    { encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: dir, XDG_RUNTIME_DIR: dir } },
  );
  s.call('podman --runtime myrunc run --rm --hostname by-podman --rootfs ROOTFS sh -c …', status);
  const said = existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : [];
  const verbs = said.map(
    (line) => /(?:^| )(create|start|state|kill|delete|features)(?: |$)/.exec(line)?.[1] ?? line,
  );
  s.evidence('podman', {
    'the container prints': `${stdout}${stderr}`.trim(),
    'calls of the runtime': verbs.join(' '),
  });
  s.claim('the program’s output and status came through', status === 5 && stdout === '1 on by-podman\n');
  s.claim(
    'it was made by create, start and delete, as in the steps above',
    ['create', 'start', 'delete'].every((verb) => verbs.includes(verb)),
  );
}
