import { spawnSync } from 'node:child_process';
import { chmodSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { dup2, execve, kill, waitpid, type Step } from '../01-processes/index.ts';
import { ask, canRead, makeRoot, octet, parked, tag, type Parked } from './demo-support.ts';
import {
  CLONE,
  cloneInUserNamespace,
  enterRoot,
  joinNamespaces,
  mount,
  namespacePath,
  rootlessMaps,
  selfMaps,
  setgid,
  sethostname,
  setuid,
  unshare,
  writeIdMaps,
  writeIdMapsWithHelpers,
} from './index.ts';
import { becomePerson, introduce } from './rootless-stage.ts';

// User namespaces: root who is nobody, and a container made by somebody who never was root.

export function rootless(s: Step): void {
  const { dir, root, remove } = makeRoot();
  s.cleanup(`remove ${dir}`, remove);
  const hostID = 100_000 + octet() * 65_536;
  spawnSync('chown', [`${hostID}:${hostID}`, join(root, 'tmp')]);
  const range = { containerID: 0, hostID, size: 65_536 };
  const file = join(root, 'tmp', 'made-inside');
  const secret = join(dir, 'secret');
  writeFileSync(secret, 'of root, outside', { mode: 0o600 });
  const child: Parked = parked(() => unshare(CLONE.NEWUSER));
  s.cleanup(`end process ${child.pid}`, child.end);
  s.call('unshare(CLONE_NEWUSER)', 0);
  const before = ask(() => {
    joinNamespaces({ user: namespacePath(child.pid, 'user') });
    return process.getuid!();
  });
  s.claim('without a map everybody inside is nobody (65534)', before === 65_534);
  writeIdMaps(child.pid, { uid: [range], gid: [range] });
  s.call(`write /proc/${child.pid}/uid_map "0 ${hostID} 65536"`, 'once, from outside');
  const inside = ask(() => {
    joinNamespaces({ user: namespacePath(child.pid, 'user') });
    setgid(0);
    setuid(0);
    writeFileSync(file, '');
    return { uid: process.getuid!(), secret: statSync(secret).uid, denied: !canRead(secret) };
  });
  s.evidence('owner of a file made inside', { inside: inside.uid, host: statSync(file).uid });
  s.evidence('owner of a file of the host’s root', { inside: inside.secret, host: statSync(secret).uid });
  s.claim('root inside, an ordinary id outside', inside.uid === 0 && statSync(file).uid === hostID);
  s.claim('root inside may not read what root outside owns', inside.denied);
}

export function personWithoutRoot(s: Step): void {
  const { dir, root, remove } = makeRoot();
  s.cleanup(`remove ${dir}`, remove);
  chmodSync(dir, 0o777);
  const uid = 20_000 + octet();
  const person = { name: `p${tag}`, uid, gid: uid };
  const lent = { first: 1_000_000 + octet() * 65_536, count: 65_536 };
  const helpers = spawnSync('newuidmap').error === undefined;
  if (!helpers) s.note('this machine has no newuidmap (package uidmap): the person maps one id, its own');
  const seen = ask(() => {
    introduce(person, join(dir, 'etc'), lent);
    becomePerson(person);
    const refused = outcome(() => unshare(CLONE.NEWUTS));
    const said = join(dir, 'said');
    const pid = cloneInUserNamespace(
      CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWNET,
      (child) =>
        helpers ? writeIdMapsWithHelpers(child, rootlessMaps(person)) : writeIdMaps(child, selfMaps(person)),
      () => {
        const out = openSync(said, 'w');
        // While the host's /proc is in sight: the kernel gives a new one only to who sees a whole one.
        mount({ source: 'proc', target: join(root, 'proc'), type: 'proc' });
        enterRoot(root);
        sethostname('mine');
        dup2(out, 1);
        dup2(out, 2);
        execve(
          '/bin/busybox',
          ['sh', '-c', 'hostname; id -u; echo $$; cat /proc/self/uid_map'],
          ['PATH=/bin'],
        );
      },
    );
    waitpid(pid);
    return { refused, pid, said: readFileSync(said, 'utf8').trim().split('\n') };
  });
  s.call(`unshare(CLONE_NEWUTS), as ${person.uid}`, seen.refused);
  s.call(`clone3({ flags: CLONE_NEWUSER|CLONE_NEWNS|CLONE_NEWPID|… }), as ${person.uid}`, seen.pid);
  if (helpers) s.call(`newuidmap ${seen.pid} 0 ${uid} 1 1 ${lent.first} ${lent.count}; newgidmap …`, 0);
  const [name, id, first, ...map] = seen.said;
  s.evidence('the container', {
    'host name, uid, process': `${name} ${id} ${first}`,
    uid_map: map.map((line) => line.trim().replace(/ +/g, ' ')).join(', '),
    'outside it is': `user ${person.uid}, process ${seen.pid}`,
  });
  s.claim('without a user namespace nothing is allowed', seen.refused === 'EPERM');
  s.claim(
    'with one, the person is root of a container of its own',
    name === 'mine' && id === '0' && first === '1',
  );
  s.claim('the host has kept its name', hostname() !== 'mine');
  notAllowed(s, person, join(dir, 'etc2'));
}

/** What root inside may not do: every right is checked against the user namespace that owns the thing. */
function notAllowed(s: Step, person: { name: string; uid: number; gid: number }, folder: string): void {
  const victim = parked(() => undefined);
  s.cleanup(`end process ${victim.pid}`, victim.end);
  const attempts = ask(() => {
    introduce(person, folder);
    becomePerson(person);
    const said = join(folder, '..', 'attempts');
    const pid = cloneInUserNamespace(
      CLONE.NEWNS,
      (child) => writeIdMaps(child, selfMaps(person)),
      () => {
        const results = {
          'mount a tmpfs': outcome(() => mount({ source: 'x', target: '/mnt', type: 'tmpfs' })),
          'mount a disk': outcome(() =>
            mount({ source: '/dev/vda', target: '/mnt', type: diskFilesystem() }),
          ),
          'mknod of a disk':
            spawnSync('busybox', ['mknod', '/mnt/disk', 'b', '7', '0']).status === 0 ? 'done' : 'EPERM',
          'name the host': outcome(() => sethostname('stolen')),
          'read /etc/shadow': outcome(() => readFileSync('/etc/shadow')),
          'kill a process of root’s': outcome(() => kill(victim.pid, 9)),
          'become user 1000, whom no range names': outcome(() => setuid(1000)),
        };
        writeFileSync(said, JSON.stringify(results));
      },
    );
    waitpid(pid);
    return JSON.parse(readFileSync(said, 'utf8')) as Record<string, string>;
  });
  s.evidence('what root inside may do', attempts);
  const { 'mount a tmpfs': own, ...others } = attempts;
  s.claim('what its namespaces own, it may', own === 'done');
  s.claim(
    'what they do not own, it may not',
    Object.values(others).every((result) => /^(EPERM|EACCES|EINVAL)$/.test(result)),
  );
}

/** A file system that wants a disk, so that root of a user namespace may not mount it. */
function diskFilesystem(): string {
  const lines = readFileSync('/proc/filesystems', 'utf8').split('\n');
  return lines.find((line) => line.startsWith('\t'))?.trim() ?? 'ext4';
}

function outcome(fn: () => void): string {
  try {
    fn();
    return 'done';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}
