import { join } from 'node:path';
import {
  expectSame,
  expectThat,
  parseMountinfoLine,
  readCgroups,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { MNT, mount, MS, umount } from '../02-namespaces/index.ts';
import { readControl } from './control-file.ts';
import { isController } from './controllers.ts';
import { detectCgroups, layoutOf, type CgroupHost } from './detect.ts';
import { cgroupMounts } from './exercise-scratch.ts';

export const layout: Exercise = {
  gap: '03.1',
  task: 'Tell from the mounts how this machine shows its cgroups: v1, v2 or hybrid, and which controllers are where.',
  hints: [
    'A machine is v2 only when no tree of v1 has a controller. A v2 tree beside v1 trees is hybrid, and a v1 tree with nothing but a name does not count.',
    'In mountinfo the type is cgroup or cgroup2. The superOptions of a v1 tree name its controllers (isController) and its name (name=systemd); those of v2 name none: that is what controllersOf is for.',
    'For each mount of type cgroup: { mountPoint, controllers: superOptions.filter(isController), name }, unless a tree with the same controllers and name is known. Any controllers: v1, or hybrid if there is a cgroup2. Else v2 with hierarchies [].',
  ],
  check: checkLayout,
  wrong: [
    {
      mistake: 'takes every machine that has a v2 tree for v2',
      code: `const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
if (unified)
  return { layout: 'v2', hierarchies: [], controllers: (controllersOf(unified) ?? []).filter(isController), unified };
const hierarchies: Hierarchy[] = [];
for (const mount of mounts.filter(({ type }) => type === 'cgroup')) {
  const controllers = mount.superOptions.filter(isController);
  const name = mount.superOptions.find((option) => option.startsWith('name='))?.slice(5);
  if (hierarchies.some((h) => h.controllers.join() === controllers.join() && h.name === name)) continue;
  hierarchies.push({ mountPoint: mount.mountPoint, controllers, ...(name && { name }) });
}
if (hierarchies.length > 0)
  return { layout: 'v1', hierarchies, controllers: hierarchies.flatMap((h) => h.controllers) };`,
      diagnosis: 'hybrid has a v2 tree too',
    },
    {
      mistake: 'takes every mount option for a controller',
      code: `const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
const hierarchies: Hierarchy[] = mounts
  .filter(({ type }) => type === 'cgroup')
  .map((mount) => ({ mountPoint: mount.mountPoint, controllers: mount.superOptions as Controller[] }));
const controllers = hierarchies.flatMap((h) => h.controllers);
if (controllers.length > 0)
  return { layout: unified ? 'hybrid' : 'v1', hierarchies, controllers, ...(unified && { unified }) };
if (unified) return { layout: 'v2', hierarchies: [], controllers: controllersOf(unified) as Controller[], unified };`,
      diagnosis: 'isController',
    },
    {
      mistake: 'counts a tree that is mounted twice as two',
      code: `const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
const hierarchies: Hierarchy[] = mounts
  .filter(({ type }) => type === 'cgroup')
  .map((mount) => {
    const name = mount.superOptions.find((option) => option.startsWith('name='))?.slice(5);
    return { mountPoint: mount.mountPoint, controllers: mount.superOptions.filter(isController), ...(name && { name }) };
  });
const controllers = hierarchies.flatMap((h) => h.controllers);
if (controllers.length > 0)
  return { layout: unified ? 'hybrid' : 'v1', hierarchies, controllers, ...(unified && { unified }) };
if (unified)
  return { layout: 'v2', hierarchies: [], controllers: (controllersOf(unified) ?? []).filter(isController), unified };`,
      diagnosis: 'mounted twice',
    },
    {
      mistake: 'lets a tree that only has a name make the machine hybrid',
      code: `const hierarchies: Hierarchy[] = [];
for (const mount of mounts.filter(({ type }) => type === 'cgroup')) {
  const controllers = mount.superOptions.filter(isController);
  const name = mount.superOptions.find((option) => option.startsWith('name='))?.slice(5);
  if (hierarchies.some((h) => h.controllers.join() === controllers.join() && h.name === name)) continue;
  hierarchies.push({ mountPoint: mount.mountPoint, controllers, ...(name && { name }) });
}
const controllers = hierarchies.flatMap((h) => h.controllers);
const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
if (hierarchies.length > 0)
  return { layout: unified ? 'hybrid' : 'v1', hierarchies, controllers, ...(unified && { unified }) };
if (unified)
  return { layout: 'v2', hierarchies: [], controllers: (controllersOf(unified) ?? []).filter(isController), unified };`,
      diagnosis: 'only groups processes',
    },
    {
      mistake: 'does not ask v2 which controllers it has',
      code: `const hierarchies: Hierarchy[] = [];
for (const mount of mounts.filter(({ type }) => type === 'cgroup')) {
  const controllers = mount.superOptions.filter(isController);
  const name = mount.superOptions.find((option) => option.startsWith('name='))?.slice(5);
  if (hierarchies.some((h) => h.controllers.join() === controllers.join() && h.name === name)) continue;
  hierarchies.push({ mountPoint: mount.mountPoint, controllers, ...(name && { name }) });
}
const controllers = hierarchies.flatMap((h) => h.controllers);
const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
if (controllers.length > 0)
  return { layout: unified ? 'hybrid' : 'v1', hierarchies, controllers, ...(unified && { unified }) };
if (unified) return { layout: 'v2', hierarchies: [], controllers, unified };`,
      diagnosis: 'cgroup.controllers',
    },
  ],
};

function checkLayout(t: Trial): void {
  // This machine first, as its kernel says it in /proc/self/cgroup and by its mounts, one of them here twice.
  const again = t.folder();
  mount({ source: cgroupMounts()[0]!.mountPoint, target: again, flags: MS.BIND });
  t.cleanup(() => umount(again, MNT.DETACH));
  const mounts = cgroupMounts();
  const unified = mounts.find((m) => m.type === 'cgroup2')?.mountPoint;
  const trees = mounts
    .filter((m, i) => m.type === 'cgroup' && mounts.findIndex((o) => o.device === m.device) === i)
    .map((m) => treeOf(m.mountPoint, ...m.superOptions));
  const inV1 = readCgroups('self')!
    .flatMap((c) => (c.hierarchy === 0 ? [] : c.controllers.filter(isController)))
    .filter((controller) => trees.some((tree) => tree.controllers.includes(controller)));
  const inV2 = unified && readControl(join(unified, 'cgroup.controllers'))!.split(' ').filter(isController);
  compare('this machine', detectCgroups(), {
    layout: inV1.length === 0 ? 'v2' : unified ? 'hybrid' : 'v1',
    hierarchies: inV1.length === 0 ? [] : trees,
    ...(unified && { unified }),
    controllers: inV1.length > 0 ? inV1 : inV2 || [],
  });

  // Then machines that this one is not.
  const top = `/${t.word()}`;
  const line = (type: string, at: string, options: string): string =>
    `${t.number(30, 99)} 29 0:${t.number(30, 999)} / ${join(top, at)} rw shared:9 - ${type} ${type} ${options}`;
  const v2Line = line('cgroup2', 'unified', 'rw,nsdelegate');
  const memory = line('cgroup', 'memory', 'rw,memory');
  const cpu = line('cgroup', 'both', 'rw,cpu,cpuacct');
  const name = t.word();
  const named = line('cgroup', name, `rw,xattr,name=${name}`);
  const machine = (lines: string[]): CgroupHost =>
    layoutOf(lines.map(parseMountinfoLine), (at) =>
      at === join(top, 'unified') ? ['cpu', 'io', 'pids', t.word()] : [],
    );
  const unifiedAt = { unified: join(top, 'unified') };
  const [memoryTree, cpuTree] = [
    treeOf(join(top, 'memory'), 'memory'),
    treeOf(join(top, 'both'), 'cpu', 'cpuacct'),
  ];
  compare('a machine with a v2 tree alone', machine([v2Line]), {
    layout: 'v2',
    hierarchies: [],
    ...unifiedAt,
    controllers: ['cpu', 'io', 'pids'],
  });
  compare('a machine with v1 trees alone', machine([memory, cpu]), {
    layout: 'v1',
    hierarchies: [memoryTree, cpuTree],
    controllers: ['cpu', 'cpuacct', 'memory'],
  });
  compare('a machine with v1 trees, one of them named, and a v2 tree', machine([v2Line, memory, named]), {
    layout: 'hybrid',
    hierarchies: [memoryTree, treeOf(join(top, name), `name=${name}`)],
    ...unifiedAt,
    controllers: ['memory'],
  });
  compare(
    'a machine that has one v1 tree at two places',
    machine([memory, line('cgroup', 'again', 'rw,memory')]),
    {
      layout: 'v1',
      hierarchies: [memoryTree],
      controllers: ['memory'],
    },
  );
  compare('a machine with a named v1 tree and a v2 tree', machine([named, v2Line]), {
    layout: 'v2',
    hierarchies: [],
    ...unifiedAt,
    controllers: ['cpu', 'io', 'pids'],
  });
}

/** A tree of v1, by the options of its mount. */
function treeOf(mountPoint: string, ...options: string[]): CgroupHost['hierarchies'][number] {
  const name = options.find((option) => option.startsWith('name='))?.slice('name='.length);
  return { mountPoint, controllers: options.filter(isController), ...(name && { name }) };
}

function compare(machine: string, observed: CgroupHost, expected: CgroupHost): void {
  const trees = ({ hierarchies }: CgroupHost): string[] =>
    hierarchies
      .map(({ mountPoint, controllers, name }) => `${mountPoint}: ${name ?? [...controllers].sort().join()}`)
      .sort();
  expectSame(
    `the layout of ${machine}`,
    expected.layout,
    observed.layout,
    expected.layout === 'v2'
      ? 'A tree of v1 with nothing but a name only groups processes: what counts is whether v1 trees have controllers.'
      : 'What counts is where the controllers are: hybrid has a v2 tree too, and its controllers are in v1 trees.',
  );
  const strangers = observed.hierarchies.flatMap((h) => h.controllers).filter((c) => !isController(c));
  expectThat(
    strangers.length === 0,
    `controllers of ${machine}`,
    `${strangers.join(', ')} among them`,
    'Not every mount option is a controller: isController tells.',
  );
  expectSame(
    `the v1 trees of ${machine}`,
    trees(expected),
    trees(observed),
    observed.hierarchies.length > expected.hierarchies.length
      ? 'A tree may be mounted twice, and is still one: whoever makes a cgroup in it must not do so twice.'
      : 'Each mount of type cgroup is a tree, with its controllers and its name=.',
  );
  expectSame(
    `the controllers of ${machine}`,
    [...expected.controllers].sort(),
    [...observed.controllers].sort(),
    expected.layout === 'v2'
      ? 'The mount of v2 does not name its controllers. The file cgroup.controllers does: controllersOf(unified), those that isController knows.'
      : 'The controllers of a machine are those of all its v1 trees.',
  );
  expectSame(
    `where the v2 tree of ${machine} is`,
    expected.unified ?? 'nowhere',
    observed.unified ?? 'nowhere',
    'unified is the mount point of the cgroup2.',
  );
}
