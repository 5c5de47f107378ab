import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import {
  CannotCheck,
  expectSame,
  expectThat,
  inChild,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { parked } from './demo-support.ts';
import { formatRanges, type IdRange } from './idmaps.ts';
import { CLONE, unshare } from './namespaces.ts';
import { becomePerson, introduce } from './rootless-stage.ts';
import { writeIdMapsWithHelpers } from './subordinate-ids.ts';

export const rootless: Exercise = {
  gap: '02.7',
  task: 'Map lent ids for somebody without rights, with newuidmap and newgidmap.',
  hints: [
    'The kernel takes one id from somebody without rights. For more there are two programs of root’s, which look into /etc/subuid and /etc/subgid first.',
    'newuidmap(1): `newuidmap PID INSIDE OUTSIDE COUNT …`, three numbers a range, all ranges in one call. newgidmap likewise, with ranges of its own.',
    'runTool("newuidmap", [String(pid), ...]) with containerID, hostID and size of each of maps.uid as text; then runTool("newgidmap", …) with maps.gid.',
  ],
  check: checkHelpers,
  wrong: [
    {
      mistake: 'forgets the groups',
      code: `runTool('newuidmap', [String(pid), ...maps.uid.flatMap(({ containerID, hostID, size }) => [containerID, hostID, size].map(String))]);`,
      diagnosis: 'newgidmap was not run',
    },
    {
      mistake: 'turns the two ids round',
      code: `const numbers = (ranges) => ranges.flatMap(({ containerID, hostID, size }) => [hostID, containerID, size].map(String));
runTool('newuidmap', [String(pid), ...numbers(maps.uid)]);
runTool('newgidmap', [String(pid), ...numbers(maps.gid)]);`,
      diagnosis: 'first the id inside',
    },
    {
      mistake: 'takes the ranges of the users for the groups',
      code: `const numbers = (ranges) => ranges.flatMap(({ containerID, hostID, size }) => [containerID, hostID, size].map(String));
runTool('newuidmap', [String(pid), ...numbers(maps.uid)]);
runTool('newgidmap', [String(pid), ...numbers(maps.uid)]);`,
      diagnosis: 'Groups have ranges of their own',
    },
    {
      mistake: 'calls it once for each range',
      code: `for (const { containerID, hostID, size } of maps.uid) runTool('newuidmap', [String(pid), containerID, hostID, size].map(String));
for (const { containerID, hostID, size } of maps.gid) runTool('newgidmap', [String(pid), containerID, hostID, size].map(String));`,
      diagnosis: 'written once',
    },
  ],
};

function checkHelpers(t: Trial): void {
  if (spawnSync('newuidmap').error) throw new CannotCheck('there is no newuidmap', 'apt-get install uidmap');
  const uid = t.number(20_000, 30_000);
  const person = { name: `p${t.word()}`, uid, gid: uid + t.number(1, 9) };
  const lent = { first: t.number(1_000_000, 2_000_000), count: t.number(100, 5000) };
  const ranges = (id: number): IdRange[] => [
    { containerID: 0, hostID: id, size: 1 },
    { containerID: 1, hostID: lent.first, size: lent.count },
  ];
  const folder = t.folder();
  const act = (): { before: string; uid: string; gid: string } => {
    introduce(person, folder, lent);
    becomePerson(person);
    const { pid, end } = parked(() => unshare(CLONE.NEWUSER));
    try {
      const map = (file: string): string =>
        readFileSync(`/proc/${pid}/${file}`, 'utf8').replace(/^ +| +/gm, ' ');
      const before = map('uid_map');
      writeIdMapsWithHelpers(pid, { uid: ranges(person.uid), gid: ranges(person.gid) });
      return { before, uid: map('uid_map'), gid: map('gid_map') };
    } finally {
      end();
    }
  };
  let seen;
  try {
    seen = inChild(t, act).result;
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    throw new Wrong({
      expected: 'the maps to be written',
      observed: error.message,
      cause: causeOf(error.message),
    });
  }
  const lines = (text: string): string[] =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
  expectSame('the map of a new namespace', [], lines(seen.before), '');
  expectThat(seen.gid !== '', 'a map of groups', 'an empty gid_map', 'newgidmap was not run.');
  expectSame(
    'uid_map',
    lines(formatRanges(ranges(person.uid))),
    lines(seen.uid),
    'Write the ranges that were given.',
  );
  expectSame(
    'gid_map',
    lines(formatRanges(ranges(person.gid))),
    lines(seen.gid),
    'Groups have ranges of their own: maps.gid.',
  );
}

function causeOf(message: string): string {
  if (/^newgidmap.*not allowed/.test(message))
    return 'Groups have ranges of their own: maps.gid, which /etc/subgid lends.';
  if (/not allowed/.test(message))
    return 'Three numbers make a range: first the id inside, then the one outside, which must be lent, then how many.';
  if (/Operation not permitted|write to uid_map failed/.test(message))
    return 'A map is written once: give all ranges in one call.';
  return 'See newuidmap(1) for this error.';
}
