import { expectThat, Wrong, type Exercise, type Trial } from '../01-processes/index.ts';
import { playPropagation, type Seen } from './mount-stage.ts';
import { receivers } from './propagation.ts';

export const whoReceives: Exercise = {
  gap: '02.6',
  task: 'Tell from mountinfo which mounts get what is mounted below one of them.',
  hints: [
    'Mounts of one peer group tell each other everything. A slave takes from its master’s group and gives nothing back. A mount may be both: slave of one group, peer in another.',
    'mount_namespaces(7), "Propagation type transitions" and its examples: `shared:N` is the group here, `master:N` the one above. What arrives at a slave that is shared goes on to its own group.',
    'Collect the groups that are reached, beginning with from.group: whoever has one of them as its master adds its own group. Then: all but `from` whose group or master is among them.',
  ],
  check: checkReceivers,
  wrong: [
    {
      mistake: 'forgets the slaves',
      code: `return all.filter((mount) => mount !== from && mount.group !== undefined && mount.group === from.group);`,
      diagnosis: 'slave takes what its master’s group gets',
    },
    {
      mistake: 'lets slaves give back',
      code: `const groups = new Set([from.group, from.master].filter((group) => group !== undefined));
for (const reached of groups)
  for (const { group, master } of all) {
    if (master === reached && group !== undefined) groups.add(group);
    if (group === reached && master !== undefined) groups.add(master);
  }
return all.filter(
  ({ group, master }, i) => all[i] !== from && ((group !== undefined && groups.has(group)) || (master !== undefined && groups.has(master))),
);`,
      diagnosis: 'gives nothing back',
    },
    {
      mistake: 'stops after the first slaves',
      code: `return all.filter(
  (mount) => mount !== from && from.group !== undefined && (mount.group === from.group || mount.master === from.group),
);`,
      diagnosis: 'goes on to its own group',
    },
    {
      mistake: 'takes private mounts for one group',
      code: `const groups = new Set([from.group]);
for (const reached of groups)
  for (const { group, master } of all) if (master === reached && group !== undefined) groups.add(group);
return all.filter((mount) => mount !== from && (groups.has(mount.group) || (mount.master !== undefined && groups.has(mount.master))));`,
      diagnosis: 'no group at all',
    },
  ],
};

/** The kernel acts, and its answer is compared with what the learner reads from the same mountinfo. */
function checkReceivers(t: Trial): void {
  const [host, peer, both, below, quiet, alone] = ['h', 'p', 'b', 's', 'q', 'o'].map((c) => c + t.word()) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const { seen, end } = playPropagation(t.folder(), [
    { name: host, words: [] },
    { name: peer, from: host, words: [] },
    { name: both, from: peer, words: ['slave', 'shared'] },
    { name: below, from: both, words: ['slave'] },
    { name: quiet, from: host, words: ['private'] },
    { name: alone, from: host, words: ['private'] },
  ]);
  t.cleanup(end);
  expectThat(
    seen.some(({ sees }) => sees.length > 1),
    'mounts that spread',
    seen,
    '',
  );
  for (const from of seen) {
    const names = (list: readonly Seen[]): string => list.map(({ name }) => name[0]).join(' ') || 'nobody';
    const arrived = seen.filter((who) => who !== from && who.sees.includes(from.name));
    const told = receivers(from, seen);
    const missing = arrived.find((who) => !told.includes(who));
    const invented = told.find((who) => !arrived.includes(who));
    if (!missing && !invented) continue;
    throw new Wrong({
      expected: `what is mounted at ${describe(from)} to reach ${names(arrived)}, as the kernel did it`,
      observed: names(told),
      cause: missing ? causeOfMissing(from, missing) : causeOfInvented(from, invented!),
    });
  }
}

const describe = ({ name, group, master }: Seen): string =>
  `${name[0]} (${group === undefined ? '' : `shared:${group} `}${master === undefined ? '' : `master:${master}`})`;

function causeOfMissing(from: Seen, missing: Seen): string {
  if (missing.group === from.group)
    return 'Mounts with the same shared:N are peers: they tell each other everything.';
  if (missing.master === from.group)
    return 'A slave takes what its master’s group gets: compare its master:N with shared:N.';
  return 'What arrives at a slave that is shared itself goes on to its own group, and to the slaves of that.';
}

function causeOfInvented(from: Seen, invented: Seen): string {
  if (invented === from) return 'Leave out `from` itself: nothing has to be told to it.';
  if (from.group === undefined)
    return 'Without shared:N a mount tells nobody: undefined is no group at all, and two undefined are no peers.';
  return 'A slave takes from its master’s group and gives nothing back: follow master:N only downwards.';
}
