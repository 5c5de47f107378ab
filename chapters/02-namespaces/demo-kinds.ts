import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { fork, getpid, waitpid, type Step } from '../01-processes/index.ts';
import { makeCgroup } from './cgroup-stage.ts';
import { ask, emptyFolder, octet, parked, tag } from './demo-support.ts';
import {
  CLONE,
  createMessageQueue,
  createSysv,
  findSysv,
  listSysv,
  mount,
  namespaceId,
  namespaceIds,
  NAMESPACES,
  removeSysv,
  setPropagation,
  sethostname,
  unshare,
  writeTimeOffsets,
  type NamespaceKind,
} from './index.ts';

// The demo's first sitting: the eight kinds, and what each hides.

const kinds = Object.keys(NAMESPACES) as NamespaceKind[];

export function together(s: Step): void {
  const [host, child] = [namespaceIds('self'), ask(() => namespaceIds('self'))];
  s.call('fork()', 'a child');
  s.evidence('uts and pid namespace', {
    host: `${host.uts} ${host.pid}`,
    child: `${child.uts} ${child.pid}`,
  });
  s.claim(
    'all eight namespaces are shared',
    kinds.every((kind) => host[kind] === child[kind]),
  );
}

export function names(s: Step): void {
  const before = hostname();
  const name = `box-${tag}`;
  const inside = ask(() => {
    unshare(CLONE.NEWUTS);
    sethostname(name);
    return { id: namespaceId('self', 'uts'), name: hostname() };
  });
  s.call('unshare(CLONE_NEWUTS)', 0);
  s.call(`sethostname("${name}")`, 0);
  s.evidence('uts namespace and host name', {
    host: `${namespaceId('self', 'uts')} ${hostname()}`,
    child: `${inside.id} ${inside.name}`,
  });
  s.claim('the child is in another uts namespace', inside.id !== namespaceId('self', 'uts'));
  s.claim('the child has the new name, the host the old one', inside.name === name && hostname() === before);
}

export function processOne(s: Step): void {
  const without = ask(() => {
    const before = getpid();
    unshare(CLONE.NEWPID);
    return { before, after: getpid() };
  });
  s.call('unshare(CLONE_NEWPID)', 0);
  s.claim(
    'unshare alone changes nothing for the caller: its children will be inside',
    without.before === without.after,
  );
  const seen = ask(() => {
    unshare(CLONE.NEWPID);
    const outside = fork(() => (getpid() === 1 ? 42 : 1));
    return { outside, status: waitpid(outside) };
  });
  s.call('unshare(CLONE_NEWPID), fork()', seen.outside);
  s.evidence('one process, two numbers', { host: seen.outside, inside: 1 });
  s.claim('the child says that it is process 1', seen.status.kind === 'exited' && seen.status.code === 42);
}

export function allEight(s: Step): void {
  const host = namespaceIds('self');
  const here = kinds.filter((kind) => host[kind] !== undefined);
  for (const kind of kinds.filter((each) => !here.includes(each)))
    s.note(`this kernel has no ${kind} namespaces (${NAMESPACES[kind].isolates})`);
  const flags = here.reduce((all, kind) => all | NAMESPACES[kind].flag, 0);
  const child = parked(() => undefined, flags);
  s.cleanup(`end process ${child.pid}`, child.end);
  s.call('clone3({ flags: CLONE_NEWUSER|…|CLONE_NEWNS })', child.pid);
  const inside = namespaceIds(child.pid);
  for (const kind of here)
    s.evidence(`${kind}: ${NAMESPACES[kind].isolates}`, { host: host[kind], container: inside[kind] });
  s.claim(
    'not one is shared',
    here.every((kind) => host[kind] !== inside[kind]),
  );
}

export function queues(s: Step): void {
  const key = 0x0c200000 + octet() * 256 + octet();
  const id = createSysv('shm', key);
  s.cleanup(`remove shared memory ${id}`, () => removeSysv('shm', id));
  s.call(`shmget(${key}, 4096, IPC_CREAT|IPC_EXCL|0600)`, id);
  const sibling = ask(() => findSysv('shm', key));
  const seen = ask(() => {
    unshare(CLONE.NEWIPC);
    const before = listSysv('shm').length;
    const own = createSysv('shm', key); // the key is free in here
    const queue = createMessageQueue(`/${tag}`);
    closeSync(queue);
    return { before, own, id: namespaceId('self', 'ipc'), names: queueNames() };
  });
  s.call('unshare(CLONE_NEWIPC)', 0);
  s.call(`shmget(${key}, 4096, IPC_CREAT|IPC_EXCL|0600)`, `${seen.own}, in the child: no EEXIST`);
  s.call(`mq_open("/${tag}", O_CREAT|O_EXCL|O_RDWR, 0600, NULL)`, 'a descriptor');
  s.evidence(`shared memory with key ${key}`, {
    host: `${namespaceId('self', 'ipc')} id ${id}`,
    'child, before': `${seen.id} ${seen.before} pieces in all`,
    'child, after': `${seen.id} id ${seen.own}`,
  });
  s.evidence('POSIX queues, the files of a mount of type mqueue', {
    host: ask(queueNames).join(' ') || 'none',
    child: seen.names.join(' '),
  });
  s.claim(
    'who shares the namespace finds it, who does not sees nothing',
    sibling === id && seen.before === 0,
  );
  s.claim(
    'a queue made inside is not there outside',
    seen.names.includes(tag) && !ask(queueNames).includes(tag),
  );
}

/** Each mount of type mqueue shows the queues of the ipc namespace in which it was mounted. */
function queueNames(): string[] {
  const { dir, remove } = emptyFolder();
  try {
    return ask(() => {
      setPropagation('/', 'rprivate');
      mount({ source: 'mqueue', target: dir, type: 'mqueue' });
      return readdirSync(dir);
    }, CLONE.NEWNS);
  } finally {
    remove();
  }
}

export function clocks(s: Step): void {
  if (namespaceIds('self').time === undefined)
    return s.note('this kernel has no time namespaces (CONFIG_TIME_NS): this can not be shown');
  const look = (): { uptime: number; date: string } => ({ uptime: uptime(), date: new Date().toISOString() });
  const refused = ask(() => {
    unshare(CLONE.NEWTIME);
    waitpid(fork(() => 0));
    try {
      writeTimeOffsets('self', { boottime: 1 });
      return 'taken';
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
  });
  const ahead = ask(() => {
    unshare(CLONE.NEWTIME);
    writeTimeOffsets('self', { boottime: 1_000_000 });
    return { self: uptime(), child: ask(look) }; // a child of the child: time is for the children of who unshared it
  });
  const host = look();
  s.call('unshare(CLONE_NEWTIME)', 0);
  s.call('write /proc/self/timens_offsets "boottime 1000000 0"', 'before the first process is inside');
  s.call('the same write after a fork', refused);
  s.evidence('seconds since boot, and the date', {
    host: `${host.uptime} s, ${host.date}`,
    'who unshared': `${ahead.self} s`,
    'its child': `${ahead.child.uptime} s, ${ahead.child.date}`,
  });
  s.claim('the boot clock of the child is ahead', ahead.child.uptime - host.uptime > 999_000);
  s.claim('who unshared is still in the old namespace', ahead.self <= host.uptime);
  s.claim('the date has no namespace', ahead.child.date <= host.date);
  s.claim('once a process is inside, its clocks cannot be moved', refused === 'EACCES');
}

export function cgroupTop(s: Step): void {
  const cgroup = makeCgroup(`ch02-${tag}`);
  if (!cgroup) return s.claim('this machine has a cgroup tree', false);
  s.cleanup(`remove ${cgroup.folder}`, cgroup.remove);
  const child = parked(() => {
    cgroup.join(getpid());
    unshare(CLONE.NEWCGROUP);
  });
  s.cleanup(`end process ${child.pid}`, child.end);
  s.call(`mkdir("${cgroup.folder}"), write ${child.pid} to its cgroup.procs`, 'ok');
  s.call('unshare(CLONE_NEWCGROUP)', 0);
  const outside = cgroup.pathOf(child.pid);
  const inside = ask(() => {
    cgroup.join(getpid());
    unshare(CLONE.NEWCGROUP);
    return { self: cgroup.pathOf('self'), host: cgroup.pathOf(process.ppid) };
  });
  s.evidence(`/proc/${child.pid}/cgroup`, { 'seen from the host': outside, 'from inside': inside.self });
  s.evidence(`/proc/${process.ppid}/cgroup, a process of the host’s`, {
    'seen from the host': cgroup.pathOf(process.ppid),
    'from inside': inside.host,
  });
  s.claim(
    'inside, one’s own group is the top of the tree',
    inside.self === '/' && outside === `/ch02-${tag}`,
  );
  s.claim('what is above the top is shown as such', inside.host.startsWith('/..'));
}

function uptime(): number {
  return Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
}
