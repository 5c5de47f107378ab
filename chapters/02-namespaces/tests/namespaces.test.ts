import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { fork, getpid, getppid, pipe, waitpid } from '../../01-processes/index.ts';
import {
  clone,
  CLONE,
  flagNames,
  joinNamespaces,
  listNamespaces,
  mount,
  MS,
  namespaceId,
  namespaceIds,
  namespacePath,
  NAMESPACES,
  pinNamespace,
  setdomainname,
  sethostname,
  setns,
  unpinNamespace,
  unshare,
  writeTimeOffsets,
  type NamespaceKind,
} from '../index.ts';
import { answer, collect, inChild, parked, randomName, temporaryDirectory } from './probe.ts';

const kinds = Object.keys(NAMESPACES) as NamespaceKind[];

describe('unshare', () => {
  test('a child that unshares nothing is in the namespaces of its parent', () => {
    expect(inChild(() => namespaceIds('self'))).toEqual(namespaceIds('self'));
  });

  test.each(kinds.filter((kind) => kind !== 'pid' && kind !== 'time'))(
    'moves the caller into a new %s namespace and leaves the seven others',
    (kind) => {
      const before = namespaceIds('self');
      const inside = inChild(() => {
        unshare(NAMESPACES[kind].flag);
        return namespaceIds('self');
      });
      expect(kinds.filter((k) => inside[k] !== before[k])).toEqual([kind]);
      expect(namespaceIds('self')).toEqual(before);
    },
  );

  test.each(['pid', 'time'] as const)('makes a new %s namespace for the children only', (kind) => {
    const [self, forChildren] = inChild(() => {
      unshare(NAMESPACES[kind].flag);
      if (kind === 'pid') waitpid(fork(() => 0)); // the link is empty until a first process is in it
      return [namespaceId('self', kind), readlinkSync(`/proc/self/ns/${kind}_for_children`)];
    });
    expect(self).toBe(namespaceId('self', kind));
    if (kind === 'time') expect(forChildren).not.toBe(self);
  });

  test('names the flags when the kernel refuses', () => {
    expect(() => unshare(CLONE.NEWUSER)).toThrow('unshare CLONE_NEWUSER: EINVAL (Invalid argument)');
    expect(flagNames(CLONE.NEWNS | CLONE.NEWUTS)).toBe('CLONE_NEWNS|CLONE_NEWUTS');
  });
});

describe('each namespace has its effect', () => {
  test('uts: a new name inside, the old one outside', () => {
    const name = randomName();
    const before = hostname();
    expect(inChild(() => hostname())).toBe(before);
    const inside = inChild(() => {
      unshare(CLONE.NEWUTS);
      sethostname(name);
      setdomainname(`${name}.example`);
      return [hostname(), readFileSync('/proc/sys/kernel/domainname', 'utf8').trim()];
    });
    expect(inside).toEqual([name, `${name}.example`]);
    expect(hostname()).toBe(before);
  });

  test('uts: a name that is too long is refused', () => {
    const long = 'x'.repeat(65);
    const set = () =>
      inChild(() => {
        unshare(CLONE.NEWUTS);
        sethostname(long);
      });
    expect(set).toThrow(`sethostname "${long}": EINVAL`);
  });

  test('pid: the first child is process 1, and its end kills the others', () => {
    const seen = inChild(() => {
      unshare(CLONE.NEWPID);
      const { read, write } = pipe();
      const pid = fork(() => answer(write, () => [getpid(), getppid()]));
      closeSync(write);
      return { inside: collect(pid, read), outside: pid };
    });
    expect(seen.inside).toEqual([1, 0]);
    expect(seen.outside).toBeGreaterThan(1);
  });

  test('pid: without a fork the caller keeps its id, and after its first child is gone no other can be made', () => {
    const fail = () =>
      inChild(() => {
        const before = getpid();
        unshare(CLONE.NEWPID);
        if (getpid() !== before) throw new Error('the id changed');
        waitpid(fork(() => 0));
        fork(() => 0);
      });
    expect(fail).toThrow('fork: ENOMEM');
  });

  test('mnt: a mount inside is not seen outside', () => {
    const { dir, remove } = temporaryDirectory();
    try {
      const child = parked(() => {
        unshare(CLONE.NEWNS);
        mount({ target: '/', flags: MS.REC | MS.PRIVATE });
        mount({ source: 'ch02', target: dir, type: 'tmpfs' });
        writeFileSync(join(dir, 'inside'), '');
      });
      try {
        expect(readFileSync(`/proc/${child.pid}/mountinfo`, 'utf8')).toContain(` ${dir} `);
        expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(` ${dir} `);
        expect(existsSync(join(dir, 'inside'))).toBe(false);
        expect(existsSync(`/proc/${child.pid}/root${dir}/inside`)).toBe(true);
      } finally {
        child.end();
      }
    } finally {
      remove();
    }
  });

  test('ipc: a queue made outside is not there inside', () => {
    const made = /id: (\d+)/.exec(spawnSync('ipcmk', ['-Q'], { encoding: 'utf8' }).stdout)![1]!;
    try {
      const queues = () => readFileSync('/proc/sysvipc/msg', 'utf8');
      const has = new RegExp(`^\\s*-?\\d+\\s+${made}\\s`, 'm');
      expect(inChild(queues)).toMatch(has);
      const inside = inChild(() => {
        unshare(CLONE.NEWIPC);
        return queues();
      });
      expect(inside).not.toMatch(has);
    } finally {
      spawnSync('ipcrm', ['-q', made]);
    }
  });

  test('net: only a loopback interface, and that is down', () => {
    const names = () => Object.keys(parseInterfaces(readFileSync('/proc/self/net/dev', 'utf8')));
    expect(inChild(names).length).toBeGreaterThanOrEqual(1);
    const inside = inChild(() => {
      unshare(CLONE.NEWNET);
      const link = spawnSync('ip', ['-o', 'link', 'show', 'dev', 'lo'], { encoding: 'utf8' }).stdout;
      return { names: names(), link };
    });
    expect(inside.names).toContain('lo');
    expect(inside.names).not.toContain('eth0');
    expect(inside.link).toContain('state DOWN');
  });

  test('user: root outside is nobody inside until a map is written', () => {
    expect(inChild(() => process.getuid!())).toBe(0);
    const inside = inChild(() => {
      unshare(CLONE.NEWUSER);
      return process.getuid!();
    });
    expect(inside).toBe(65534);
  });

  test('cgroup: the path that a process sees begins at the cgroup it was in', () => {
    const paths = () => readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
    expect(inChild(paths)).toEqual(paths());
    const inside = inChild(() => {
      unshare(CLONE.NEWCGROUP);
      return paths();
    });
    expect(inside.every((line) => line.endsWith(':/'))).toBe(true);
  });

  test('time: the boot clock of the children is ahead by what was written', () => {
    const uptime = () => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    const before = uptime();
    const inside = inChild(() => {
      unshare(CLONE.NEWTIME);
      writeTimeOffsets('self', { boottime: 1_000_000 });
      const { read, write } = pipe();
      const pid = fork(() => answer(write, uptime));
      closeSync(write);
      return collect(pid, read) as number;
    });
    // Added, not subtracted: a difference of two such fractions may be a little less than what was added.
    expect(inside).toBeGreaterThanOrEqual(before + 1_000_000);
    expect(uptime()).toBeLessThan(before + 1_000_000);
  });
});

describe('clone', () => {
  test('makes a child of the caller that is in all new namespaces from its first instruction', () => {
    const flags = kinds.filter((kind) => kind !== 'user').reduce((all, k) => all | NAMESPACES[k].flag, 0);
    const { read, write } = pipe();
    const before = namespaceIds('self');
    const pid = clone(flags, () => {
      answer(write, () => ({ pid: getpid(), parent: getppid(), mnt: existsSync('/proc/1') }));
      return 7;
    });
    closeSync(write);
    const chunk = Buffer.alloc(4096);
    const seen = JSON.parse(chunk.toString('utf8', 0, readSync(read, chunk))) as { value: unknown };
    expect(seen.value).toEqual({ pid: 1, parent: 0, mnt: true });
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 7 });
    expect(namespaceIds('self')).toEqual(before);
  });

  test('passes on the reason when the kernel refuses', () => {
    expect(() => clone(CLONE.NEWNS | CLONE.FS, () => 0)).toThrow('clone CLONE_FS|CLONE_NEWNS: EINVAL');
  });
});

describe('joining', () => {
  test('setns takes the caller into the namespace of another process', () => {
    const name = randomName();
    const other = parked(() => {
      unshare(CLONE.NEWUTS);
      sethostname(name);
    });
    try {
      const joined = inChild(() => {
        const fd = openSync(namespacePath(other.pid, 'uts'), 'r');
        setns(fd, CLONE.NEWUTS);
        return [hostname(), namespaceId('self', 'uts')];
      });
      expect(joined).toEqual([name, namespaceId(other.pid, 'uts')]);
    } finally {
      other.end();
    }
  });

  test('a descriptor of another kind is refused', () => {
    const join = () => inChild(() => setns(openSync(namespacePath('self', 'uts'), 'r'), CLONE.NEWIPC));
    expect(join).toThrow(/setns fd \d+ as CLONE_NEWIPC: EINVAL/);
  });

  test('joinNamespaces enters a user namespace and what it owns, all at once', () => {
    const wanted: NamespaceKind[] = ['user', 'mnt', 'uts', 'ipc', 'net', 'cgroup'];
    const other = parked(() => unshare(wanted.reduce((all, kind) => all | NAMESPACES[kind].flag, 0)));
    try {
      const paths = Object.fromEntries(wanted.map((kind) => [kind, namespacePath(other.pid, kind)]));
      const joined = inChild(() => {
        joinNamespaces(paths);
        return namespaceIds('self');
      });
      const theirs = namespaceIds(other.pid);
      for (const kind of wanted) expect(joined[kind], kind).toBe(theirs[kind]);
    } finally {
      other.end();
    }
  });

  test('joining the pid namespace shows in the next child', () => {
    const { read, write } = pipe();
    const init = clone(CLONE.NEWPID, () => {
      closeSync(write);
      readSync(read, Buffer.alloc(1));
    });
    closeSync(read);
    try {
      const id = inChild(() => {
        closeSync(write);
        joinNamespaces({ pid: namespacePath(init, 'pid') });
        const inner = pipe();
        const child = fork(() => answer(inner.write, () => getpid()));
        closeSync(inner.write);
        return collect(child, inner.read);
      });
      expect(id).toBe(2);
    } finally {
      closeSync(write);
      waitpid(init);
    }
  });
});

describe('pinning', () => {
  test('a pinned namespace outlives its last process, can be joined, and is gone when unpinned', () => {
    const { dir, remove } = temporaryDirectory();
    const file = join(dir, 'uts');
    const name = randomName();
    try {
      const other = parked(() => {
        unshare(CLONE.NEWUTS);
        sethostname(name);
      });
      const id = namespaceId(other.pid, 'uts');
      pinNamespace(namespacePath(other.pid, 'uts'), file);
      other.end();
      expect(listNamespaces().some((entry) => entry.id === id)).toBe(false);
      const joined = inChild(() => {
        joinNamespaces({ uts: file });
        return [hostname(), namespaceId('self', 'uts')];
      });
      expect(joined).toEqual([name, id]);
      unpinNamespace(file);
      expect(existsSync(file)).toBe(false);
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
      unpinNamespace(file); // nothing there: nothing done
    } finally {
      unpinNamespace(file);
      remove();
    }
  });

  test('a path that is no namespace leaves no file behind', () => {
    const { dir, remove } = temporaryDirectory();
    try {
      expect(() => pinNamespace('/proc/self/ns/none', join(dir, 'x'))).toThrow('ENOENT');
      expect(existsSync(join(dir, 'x'))).toBe(false);
    } finally {
      remove();
    }
  });
});

test('listNamespaces finds a namespace and who is in it', () => {
  const other = parked(() => unshare(CLONE.NEWUTS));
  try {
    const id = namespaceId(other.pid, 'uts');
    expect(listNamespaces().find((entry) => entry.id === id)).toEqual({
      kind: 'uts',
      id,
      pids: [other.pid],
    });
    const ours = listNamespaces().find((entry) => entry.id === namespaceId('self', 'uts'))!;
    expect(ours.pids).toContain(process.pid);
    expect(ours.pids).not.toContain(other.pid);
  } finally {
    other.end();
  }
});

function parseInterfaces(text: string): Record<string, string> {
  const lines = text.trim().split('\n').slice(2);
  return Object.fromEntries(lines.map((line) => line.trim().split(':') as [string, string]));
}
