import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dup2, exitCode, execve, kill, readStatus, waitpid } from '../../01-processes/index.ts';
import {
  CLONE,
  cloneInUserNamespace,
  enterRoot,
  joinNamespaces,
  mount,
  parseRanges,
  rootlessMaps,
  selfMaps,
  setgroups,
  sethostname,
  setuid,
  subordinateRanges,
  toHostId,
  writeIdMaps,
  writeIdMapsWithHelpers,
  type IdMaps,
  type Person,
} from '../index.ts';
import { becomePerson, introduce } from '../rootless-stage.ts';
import { inChild, parked, randomName, temporaryDirectory } from './probe.ts';
import { makeRoot } from '../demo-support.ts';

const id = 20_000 + Math.floor(Math.random() * 10_000);
const person: Person = { name: randomName('p').replace('-', ''), uid: id, gid: id + 1 };
const lent = { first: 1_000_000 + 65_536 * Math.floor(Math.random() * 1000), count: 65_536 };

let dir: string;
let remove: () => void;
beforeAll(() => {
  ({ dir, remove } = temporaryDirectory());
  chmodSync(dir, 0o777);
});
afterAll(() => remove());

/** Runs `fn` as a person without rights whom the machine knows, in a child. */
const asPerson = <T>(fn: () => T): T =>
  inChild(() => {
    introduce(person, join(dir, randomName('etc')), lent);
    becomePerson(person);
    return fn();
  });

/** What `fn` returns in a user namespace that the caller makes and maps. */
function inside<T>(flags: number, map: (pid: number) => void, fn: () => T): T {
  const file = join(dir, randomName('said'));
  const pid = cloneInUserNamespace(flags, map, () => writeFileSync(file, JSON.stringify(fn() ?? null)));
  expectEnd(pid);
  return JSON.parse(readFileSync(file, 'utf8')) as T;
}
function expectEnd(pid: number): void {
  const status = exitCode(waitpid(pid));
  if (status !== 0) throw new Error(`the container ended with status ${status}`);
}
const own = (pid: number): void => writeIdMaps(pid, selfMaps(person));
const helped = (pid: number): void => writeIdMapsWithHelpers(pid, rootlessMaps(person));

/** How a call ends: `done`, or the name of its error. */
function outcome(fn: () => void): string {
  try {
    fn();
    return 'done';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}

test('a person without rights is really that', () => {
  const status = asPerson(() => {
    const { uid, groups, capabilities } = readStatus('self')!;
    return { uid: uid.effective, groups, effective: Number(capabilities.effective) };
  });
  expect(status).toEqual({ uid: person.uid, groups: [], effective: 0 });
  expect(asPerson(() => outcome(() => mount({ source: 'x', target: dir, type: 'tmpfs' })))).toBe('EPERM');
});

describe('a container of one’s own, without root', () => {
  const all = CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWPID | CLONE.NEWNET | CLONE.NEWCGROUP;

  test.each([
    ['with its own id alone', own],
    ['with ids lent by /etc/subuid', helped],
  ])('%s: root, name, root directory, processes', (_, map) => {
    const { root, remove: removeRoot } = makeRoot();
    try {
      chmodSync(join(root, '..'), 0o777);
      const { said, host } = asPerson(() => {
        const file = join(dir, randomName('out'));
        const pid = cloneInUserNamespace(all, map, () => {
          const out = openSync(file, 'w');
          // While the host's /proc is still in sight: the kernel gives a new one only to who sees a whole one.
          mount({ source: 'proc', target: join(root, 'proc'), type: 'proc' });
          enterRoot(root);
          mount({ source: 'tmp', target: '/tmp', type: 'tmpfs' });
          sethostname('mine');
          dup2(out, 1);
          dup2(out, 2);
          execve(
            '/bin/busybox',
            ['sh', '-c', 'hostname; id -u; echo $$; ls /; cat /proc/self/setgroups'],
            ['PATH=/bin'],
          );
        });
        expectEnd(pid);
        return { said: readFileSync(file, 'utf8').trim().split('\n'), host: hostname() };
      });
      const setgroupsWord = map === own ? 'deny' : 'allow';
      expect(said).toEqual(['mine', '0', '1', 'bin', 'proc', 'tmp', setgroupsWord]);
      expect(host).toBe(hostname());
    } finally {
      removeRoot();
    }
  });

  test('a new /proc is refused once the host’s is out of sight', () => {
    const { root, remove: removeRoot } = makeRoot();
    try {
      chmodSync(join(root, '..'), 0o777);
      chmodSync(join(root, 'tmp'), 0o777);
      const seen = asPerson(() => {
        const pid = cloneInUserNamespace(CLONE.NEWNS | CLONE.NEWPID, own, () => {
          enterRoot(root);
          writeFileSync(
            '/tmp/said',
            outcome(() => mount({ source: 'proc', target: '/proc', type: 'proc' })),
          );
        });
        expectEnd(pid);
        return readFileSync(join(root, 'tmp', 'said'), 'utf8');
      });
      expect(seen).toBe('EPERM');
    } finally {
      removeRoot();
    }
  });

  test('its processes are the person’s, and the ids that are lent are nobody else’s', () => {
    const file = join(dir, randomName('owned'));
    const maps = asPerson(() => {
      inside(CLONE.NEWNS, helped, () => {
        writeFileSync(file, '');
        chownSync(file, 5, 6);
      });
      return rootlessMaps(person);
    });
    expect(statSync(file)).toMatchObject({ uid: lent.first + 4, gid: lent.first + 5 });
    expect([toHostId(maps.uid, 0), toHostId(maps.uid, 5)]).toEqual([person.uid, lent.first + 4]);
    expect(toHostId(maps.uid, 65_537)).toBeUndefined();
  });

  test('what newuidmap wrote is what the kernel says', () => {
    const map = asPerson(() => inside(0, helped, () => readFileSync('/proc/self/uid_map', 'utf8')));
    expect(parseRanges(map)).toEqual([
      { containerID: 0, hostID: person.uid, size: 1 },
      { containerID: 1, hostID: lent.first, size: lent.count },
    ]);
  });
});

describe('root inside may not', () => {
  const attempts = (map: (pid: number) => void, flags: number, fn: () => Record<string, string>) =>
    asPerson(() => inside(flags, map, fn));

  test('reach what the host owns', () => {
    const secret = join(dir, randomName('secret'));
    writeFileSync(secret, 'of root', { mode: 0o600 });
    const victim = parked(() => undefined);
    const disk = readFileSync('/proc/filesystems', 'utf8')
      .split('\n')
      .find((line) => line.startsWith('\t'))!
      .trim();
    try {
      const seen = attempts(own, CLONE.NEWNS, () => ({
        'its own mounts': outcome(() => mount({ source: 'x', target: '/mnt', type: 'tmpfs' })),
        'a disk': outcome(() => mount({ source: '/dev/vda', target: '/mnt', type: disk })),
        'the host’s name': outcome(() => sethostname('stolen')),
        'a file of root’s': outcome(() => readFileSync(secret)),
        'a process of root’s': outcome(() => kill(victim.pid, 9)),
        'a device node': spawnSync('busybox', ['mknod', '/mnt/disk', 'b', '7', '0'], {
          encoding: 'utf8',
        }).stderr.trim(),
        'the host’s network': outcome(() => joinNamespaces({ net: `/proc/${victim.pid}/ns/net` })),
        'an own proc': outcome(() => mount({ source: 'proc', target: '/mnt', type: 'proc' })),
      }));
      expect(seen).toEqual({
        'its own mounts': 'done',
        'a disk': 'EPERM',
        'the host’s name': 'EPERM',
        'a file of root’s': 'EACCES',
        'a process of root’s': 'EPERM',
        'a device node': 'mknod: /mnt/disk: Operation not permitted',
        'the host’s network': 'EACCES',
        'an own proc': 'EPERM', // that needs a pid namespace of its own
      });
      expect(hostname()).not.toBe('stolen');
    } finally {
      victim.end();
    }
  });

  test('be somebody, or give a file to somebody, whom no range names', () => {
    const file = join(dir, randomName('mine'));
    const seen = attempts(own, 0, () => {
      writeFileSync(file, '');
      let message = '';
      try {
        setuid(1000);
      } catch (error) {
        message = (error as Error).message;
      }
      return { chown: outcome(() => chownSync(file, 1000, -1)), setuid: message };
    });
    expect(seen).toEqual({
      chown: 'EINVAL',
      setuid: `setresuid 1000: EINVAL (Invalid argument): this user namespace's uid_map has no 1000: 0 ${person.uid} 1`,
    });
  });

  test('and where there is no /proc to read the map from, the kernel’s own error stays', () => {
    const { root, remove: removeRoot } = makeRoot();
    try {
      chmodSync(join(root, '..'), 0o777);
      chmodSync(join(root, 'tmp'), 0o777);
      const said = asPerson(() => {
        const pid = cloneInUserNamespace(CLONE.NEWNS, own, () => {
          enterRoot(root);
          try {
            setuid(1000);
          } catch (error) {
            writeFileSync('/tmp/said', (error as Error).message);
          }
        });
        expectEnd(pid);
        return readFileSync(join(root, 'tmp', 'said'), 'utf8');
      });
      expect(said).toBe('setresuid 1000: EINVAL (Invalid argument)');
    } finally {
      removeRoot();
    }
  });

  test('leave a group that keeps it out, where nobody vouches for it', () => {
    // rw----r--: everybody may read but the group. A member must not be able to get out of it.
    const file = join(dir, randomName('not-for-the-group'));
    writeFileSync(file, 'x');
    chownSync(file, 0, person.gid + 1);
    chmodSync(file, 0o604);
    const asMember = <T>(fn: () => T): T =>
      inChild(() => {
        becomePerson(person, [person.gid + 1]);
        return fn();
      });
    expect(asMember(() => outcome(() => readFileSync(file)))).toBe('EACCES');
    const seen = asMember(() =>
      inside(0, own, () => ({
        setgroups: outcome(() => setgroups([])),
        read: outcome(() => readFileSync(file)),
      })),
    );
    expect(seen).toEqual({ setgroups: 'EPERM', read: 'EACCES' });
  });
});

describe('the kernel and newuidmap refuse', () => {
  const refused = (maps: IdMaps, write: (pid: number, maps: IdMaps) => void): string =>
    asPerson(() => {
      try {
        cloneInUserNamespace(
          0,
          (pid) => write(pid, maps),
          () => 0,
        );
        return 'done';
      } catch (error) {
        return (error as Error).message;
      }
    });
  const range = (containerID: number, hostID: number, size: number) => ({ containerID, hostID, size });

  test('a second id, without help', () => {
    const maps = { ...selfMaps(person), uid: [range(0, person.uid, 1), range(1, lent.first, 10)] };
    expect(refused(maps, writeIdMaps)).toMatch(/^write "0 \d+ 1\\n1 \d+ 10" to \/proc\/\d+\/uid_map: EPERM/);
  });

  test('groups that are mapped while setgroups is allowed', () => {
    const { uid, gid } = selfMaps(person);
    expect(refused({ uid, gid }, writeIdMaps)).toMatch(/gid_map: EPERM/);
  });

  test('ids that are not lent, with the words of newuidmap', () => {
    const maps = rootlessMapsOf(person.uid, person.gid, 0);
    expect(refused(maps, writeIdMapsWithHelpers)).toMatch(
      /^newuidmap \d+ 0 \d+ 1 1 0 10: newuidmap: uid range \[1-11\) -> \[0-10\) not allowed$/,
    );
  });

  test('a process that has died', () => {
    const gone = parked(() => undefined);
    gone.end();
    expect(() => writeIdMaps(gone.pid, selfMaps(person))).toThrow(`/proc/${gone.pid}/uid_map: ENOENT`);
    expect(() => writeIdMapsWithHelpers(gone.pid, rootlessMapsOf(0, 0, lent.first))).toThrow(
      `newuidmap ${gone.pid} `,
    );
  });

  const rootlessMapsOf = (uid: number, gid: number, first: number): IdMaps => ({
    uid: [range(0, uid, 1), range(1, first, 10)],
    gid: [range(0, gid, 1), range(1, first, 10)],
  });
});

describe('subordinateRanges', () => {
  test('reads /etc/subuid as getsubids does', () => {
    const { ours, theirs } = asPerson(() => ({
      ours: subordinateRanges('/etc/subuid', person),
      theirs: spawnSync('getsubids', [person.name], { encoding: 'utf8' }).stdout.trim(),
    }));
    expect(ours).toEqual([lent]);
    expect(theirs).toBe(`0: ${person.name} ${lent.first} ${lent.count}`);
  });

  test('takes the number for a name, and no line that is none', () => {
    const file = join(dir, randomName('subuid'));
    writeFileSync(file, 'anna:1000:5\n# bob:1:1\n\nbob:2000:x\n1001:3000:7\nbob:4000:8\nbob:5000\n');
    expect(subordinateRanges(file, { name: 'bob', uid: 1001 })).toEqual([
      { first: 3000, count: 7 },
      { first: 4000, count: 8 },
    ]);
    expect(subordinateRanges(join(dir, 'none'), { name: 'bob', uid: 1001 })).toEqual([]);
  });

  test('nothing lent is said, with what to type', () => {
    const nobody = { name: randomName('nobody'), uid: 99_999, gid: 99_999 };
    expect(() => rootlessMaps(nobody)).toThrow(
      `/etc/subuid lends ${nobody.name} no ids: usermod --add-subuids`,
    );
  });
});

test('the machine’s own files know nothing of the person', () => {
  expect(asPerson(() => readFileSync('/etc/subuid', 'utf8'))).toContain(person.name);
  for (const file of ['/etc/passwd', '/etc/group', '/etc/subuid', '/etc/subgid'])
    expect(readFileSync(file, 'utf8')).not.toContain(person.name);
});
