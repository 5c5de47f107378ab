import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execve, type Step } from '../01-processes/index.ts';
import { ask, canRead, emptyFolder, makeRoot, output, tag } from './demo-support.ts';
import { escapeFromChroot } from './escape.ts';
import { chroot, CLONE, describePeer, enterRoot, mount, receivers, sethostname } from './index.ts';
import { playPropagation } from './mount-stage.ts';

// What paths lead to: mounts that spread, a root of one's own, and the way out of chroot.

const BUSYBOX = '/bin/busybox';

export function propagation(s: Step): void {
  const { dir, remove } = emptyFolder();
  s.cleanup(`remove ${dir}`, remove);
  const { seen, end } = playPropagation(dir, [
    { name: 'host', words: [] },
    { name: 'peer', from: 'host', words: [] },
    { name: 'slave', from: 'host', words: ['slave'] },
    { name: 'both', from: 'host', words: ['slave', 'shared'] },
    { name: 'private', from: 'host', words: ['private'] },
    { name: 'unbindable', from: 'host', words: ['unbindable'] },
  ]);
  s.cleanup(`end processes ${seen.map(({ pid }) => pid).join(' ')}`, end);
  s.call(
    `mount("stage", "${dir}", "tmpfs", 0, NULL), mount(NULL, "${dir}", NULL, MS_SHARED)`,
    '0, in "host"',
  );
  for (const { name, pid, group, master, ...peer } of seen)
    s.evidence(
      `${name}: process ${pid}, ${describePeer({ ...peer, ...(group && { group }), ...(master && { master }) })}`,
      {
        mountinfo:
          [group && `shared:${group}`, master && `master:${master}`].filter(Boolean).join(' ') || '-',
        'sees the mounts of': seen.find((who) => who.name === name)!.sees.join(' '),
      },
    );
  const sees = (who: string, whose: string): boolean =>
    seen.find(({ name }) => name === who)!.sees.includes(whose);
  s.claim('peers see each other’s mounts', sees('peer', 'host') && sees('host', 'peer'));
  s.claim(
    'a slave sees its master’s, and not the other way round',
    sees('slave', 'host') && !sees('host', 'slave'),
  );
  s.claim(
    'private and unbindable mounts neither take nor give',
    !sees('private', 'host') && !sees('host', 'private') && !sees('unbindable', 'host'),
  );
  s.claim(
    'mountinfo said so before: who receives can be read from shared:N and master:N',
    seen.every((from) =>
      seen.every((to) => to === from || receivers(from, seen).includes(to) === to.sees.includes(from.name)),
    ),
  );
  s.claim(
    'none of it is mounted on the machine',
    !readFileSync('/proc/self/mountinfo', 'utf8').includes(dir),
  );
}

export function ownRoot(s: Step): void {
  const { dir, root, remove } = makeRoot();
  s.cleanup(`remove ${dir}`, remove);
  writeFileSync(join(root, 'hello'), 'from the image\n');
  const text = output(CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWUTS, () => {
    enterRoot(root);
    mount({ source: 'proc', target: '/proc', type: 'proc' });
    sethostname('box');
    execve(BUSYBOX, ['sh', '-c', 'hostname; ls /; ps -o pid,comm; mount'], ['PATH=/bin']);
  });
  s.call('clone3({ flags: CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWUTS })', 'a child');
  s.call(`mount(NULL, "/", NULL, MS_REC|MS_PRIVATE)`, 0);
  s.call(`mount("${root}", "${root}", NULL, MS_BIND|MS_REC)`, 0);
  s.call('pivot_root(".", ".")', 0);
  s.call('umount2(".", MNT_DETACH)', 0);
  s.call('execve("/bin/busybox", …)', 'the output below');
  s.evidence('sh -c "hostname; ls /; ps; mount"', { inside: `\n${text}` });
  const lines = text.split('\n');
  s.claim('the root holds what the directory held', lines.includes('hello') && !lines.includes('usr'));
  s.claim(
    'two mounts are left: the root and /proc',
    lines.filter((line) => line.includes(' on /')).length === 2,
  );
  s.claim(
    'ps shows the processes of this namespace alone',
    text.match(/^ +\d+ (busybox|sh|ps)$/gm)?.length === 2,
  );
  s.claim(
    'nothing of it is mounted on the host',
    !readFileSync('/proc/self/mountinfo', 'utf8').includes(dir),
  );
}

export function attack(s: Step): void {
  const { dir, root, remove } = makeRoot();
  s.cleanup(`remove ${dir}`, remove);
  const secret = join(dir, 'secret');
  writeFileSync(secret, `of the host, ${tag}`);
  const jailed = ask(() => {
    chroot(root);
    process.chdir('/');
    const hidden = !existsSync(secret);
    const names = escapeFromChroot();
    return { hidden, names, secret: canRead(secret) };
  });
  s.call(`chroot("${root}")`, 0);
  s.call('mkdir("/tmp/jail"), chroot("/tmp/jail"), 64 × chdir(".."), chroot(".")', 0);
  s.evidence('after chroot and the walk', {
    '/': jailed.names.join(' '),
    secret: jailed.secret ? 'read' : 'not there',
  });
  s.claim('chroot hid the secret, and the attack reached it', jailed.hidden && jailed.secret);
  const closed = ask(() => {
    enterRoot(root);
    const names = escapeFromChroot();
    return { names, secret: canRead(secret) };
  }, CLONE.NEWNS);
  s.call('pivot_root(".", "."), umount2(".", MNT_DETACH); then the same walk', 0);
  s.evidence('after pivot_root and the walk', {
    '/': closed.names.join(' '),
    secret: closed.secret ? 'read' : 'not there',
  });
  s.claim(
    'with pivot_root there is no way up: nothing above is mounted',
    !closed.secret && closed.names.includes('proc'),
  );
}
