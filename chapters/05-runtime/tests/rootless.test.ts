import { chownSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readCgroups, readStatus } from '../../01-processes/index.ts';
import type { IdMaps } from '../../02-namespaces/index.ts';
import { rootlessSpec, type OciSpec } from '../index.ts';
import { visitor, type Visitor } from './person.ts';
import { eventually, traces, workbench, type Said, type Workbench } from './workbench.ts';

// All of it is done by a person without root, whom the machine knows for that time.

let bench: Workbench;
let her: Visitor;
beforeAll(async () => {
  bench = await workbench();
  her = visitor(bench.dir);
});
afterEach(() => {
  for (const id of existsSync(states()) ? readdirSync(states()) : []) myrunc('delete', '--force', id);
  expect(traces(bench)).toEqual([]);
});
afterAll(() => bench.remove());

const states = (): string => join(her.home, 'run', 'myrunc');
const myrunc = (...args: string[]): Said => her.call(bench.program, ...args);

/** A bundle as `spec --rootless` has it. */
function bundle(
  args: string[],
  change: (spec: OciSpec & Required<Pick<OciSpec, 'process' | 'linux'>>) => void = () => undefined,
): string {
  const dir = bench.bundle();
  const spec = rootlessSpec(her.person.uid, her.person.gid) as Parameters<typeof change>[0];
  spec.process.terminal = false;
  spec.process.args = args;
  change(spec);
  writeFileSync(join(dir, 'config.json'), JSON.stringify(spec));
  chownSync(join(dir, 'rootfs'), her.person.uid, her.person.gid);
  return dir;
}
const script = (text: string): string[] => ['sh', '-c', text];
const pidOf = (id: string): number => (JSON.parse(myrunc('state', id).out) as { pid: number }).pid;

describe('a person without root', () => {
  it('runs a container in which that person is root, and nobody else exists', () => {
    const { status, out, err } = myrunc(
      'run',
      '--bundle',
      bundle(
        script(
          'id; echo $(cat /proc/self/uid_map /proc/self/setgroups); hostname; stat -c %u / /bin; exit 7',
        ),
      ),
      bench.id(),
    );
    expect(err).toBe('');
    expect(out).toBe(`uid=0(root) gid=0\n0 ${her.person.uid} 1 deny\nmyrunc\n0\n65534\n`);
    expect(status).toBe(7);
  });

  it('has the whole life of a container: create, start, exec, state, list, kill, delete', () => {
    const id = bench.id();
    expect(myrunc('create', '--bundle', bundle(['sleep', '1000']), id)).toMatchObject({ status: 0, err: '' });
    const pid = pidOf(id);
    expect(readStatus(pid)!.uid.real).toBe(her.person.uid);
    expect(myrunc('start', id)).toMatchObject({ status: 0, err: '' });
    expect(eventually(() => readStatus(pid)?.name === 'sleep')).toBe(true);
    expect(myrunc('exec', id, 'sh', '-c', 'id -u; ps | grep -c [s]leep').out).toBe('0\n1\n');
    const [listed] = JSON.parse(myrunc('list', '--format', 'json').out) as {
      owner: string;
      status: string;
    }[];
    expect(listed).toMatchObject({ id, owner: her.person.name, status: 'running' });
    expect(readdirSync(states())).toEqual([id]);
    expect(myrunc('kill', id, 'KILL').status).toBe(0);
    expect(eventually(() => myrunc('state', id).out.includes('"stopped"'))).toBe(true);
    expect(myrunc('delete', id)).toMatchObject({ status: 0, err: '' });
    expect(readdirSync(states())).toEqual([]);
  });

  it('has more ids inside where they are lent, by newuidmap and newgidmap', () => {
    const maps = rootlessMapsHere();
    const { status, out, err } = myrunc(
      'run',
      '--bundle',
      bundle(script('id; echo $(cat /proc/self/uid_map)'), (spec) => {
        spec.linux.uidMappings = [...maps.uid];
        spec.linux.gidMappings = [...maps.gid];
        spec.process.user = { uid: 1000, gid: 1000, additionalGids: [7] };
      }),
      bench.id(),
    );
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toBe(
      `uid=1000(ada) gid=1000 groups=7\n0 ${her.person.uid} 1 1 ${her.lent.first} ${her.lent.count}\n`,
    );
  });

  it('is refused ids that are not lent, in the words of newuidmap', () => {
    const { status, err } = myrunc(
      'create',
      '--bundle',
      bundle(['true'], ({ linux }) => void linux.uidMappings!.push({ containerID: 1, hostID: 1, size: 1 })),
      bench.id(),
    );
    expect(status).toBe(1);
    expect(err).toMatch(/newuidmap: uid range \[1-2\) -> \[1-2\) not allowed/);
    expect(existsSync(states()) ? readdirSync(states()) : []).toEqual([]);
  });

  it('leaves the container where it is, without a cgroup of its own, and says so where one is needed', () => {
    const id = bench.id();
    myrunc('run', '--detach', '--bundle', bundle(['sleep', '1000']), id);
    expect(readCgroups(pidOf(id))).toEqual(readCgroups('self'));
    for (const verb of [
      ['pause', id],
      ['ps', id],
      ['events', '--stats', id],
    ])
      expect(myrunc(...verb)).toMatchObject({
        status: 1,
        err: expect.stringContaining('has no cgroup') as string,
      });
    expect(myrunc('update', '--memory', '50M', id).err).toContain('rootless needs no limits');
  });

  it.each<[string, string, Parameters<typeof bundle>[1]]>([
    [
      'no user namespace',
      'rootless container requires user namespaces',
      ({ linux }) => {
        linux.namespaces = linux.namespaces!.filter(({ type }) => type !== 'user');
        delete linux.uidMappings;
        delete linux.gidMappings;
      },
    ],
    [
      'limits',
      'rootless needs no limits + no cgrouppath when no permission is granted for cgroups',
      ({ linux }) => void (linux.resources = { pids: { limit: 20 } }),
    ],
    ['a cgroup of their choice', 'EACCES', ({ linux }) => void (linux.cgroupsPath = '/ch05-rootless')],
    [
      'an OOM score below their own',
      'process.oomScoreAdj: lowering it from',
      ({ process }) => void (process.oomScoreAdj = -500),
    ],
  ])('may not have: %s', (_what, message, change) => {
    const { status, err } = myrunc('create', '--bundle', bundle(['true'], change), bench.id());
    expect(status).toBe(1);
    expect(err).toContain(message);
    expect(existsSync(states()) ? readdirSync(states()) : []).toEqual([]);
  });

  it('may raise the OOM score, and set a filter without no_new_privs', () => {
    const { out, err } = myrunc(
      'run',
      '--bundle',
      bundle(script('cat /proc/self/oom_score_adj; mkdir /dev/shm/a || echo refused'), (spec) => {
        spec.process.oomScoreAdj = 321;
        spec.process.noNewPrivileges = false;
        spec.linux.seccomp = {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 105 }],
        };
      }),
      bench.id(),
    );
    expect(out).toBe('321\nrefused\n');
    expect(err).toContain('No buffer space');
  });
});

/** Root and the ids that are lent: what the person's own line in /etc/subuid gives, which is there for a child alone. */
function rootlessMapsHere(): IdMaps {
  const range = (own: number): IdMaps['uid'] => [
    { containerID: 0, hostID: own, size: 1 },
    { containerID: 1, hostID: her.lent.first, size: her.lent.count },
  ];
  return { uid: range(her.person.uid), gid: range(her.person.gid) };
}
