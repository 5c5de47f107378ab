import { readFileSync } from 'node:fs';
import { expectSame, expectThat, inChild, Wrong, type Exercise, type Trial } from '../01-processes/index.ts';
import { writeIdMaps } from './idmaps.ts';
import { CLONE, unshare } from './namespaces.ts';

export const idMaps: Exercise = {
  gap: '02.2',
  task: 'Write the id maps of a new user namespace.',
  hints: [
    'Until its maps are written, nobody inside is anybody: every id is 65534. Each map can be written once.',
    'user_namespaces(7): /proc/PID/uid_map, /proc/PID/gid_map and /proc/PID/setgroups. One of the three has to come before another.',
    'writeProc(pid, "uid_map", formatRanges(maps.uid)); setgroups, if it is given; then gid_map.',
  ],
  check: checkIdMaps,
  wrong: [
    {
      mistake: 'forgets the groups',
      code: `writeProc(pid, 'uid_map', formatRanges(maps.uid));
if (maps.setgroups !== undefined) writeProc(pid, 'setgroups', maps.setgroups);`,
      diagnosis: 'gid_map was not written',
    },
    {
      mistake: 'denies setgroups too late',
      code: `writeProc(pid, 'uid_map', formatRanges(maps.uid));
writeProc(pid, 'gid_map', formatRanges(maps.gid));
if (maps.setgroups !== undefined) writeProc(pid, 'setgroups', maps.setgroups);`,
      diagnosis: 'before gid_map',
    },
    {
      mistake: 'hard-codes the ranges of the example',
      code: `writeProc(pid, 'uid_map', '0 100000 65536\\n');
if (maps.setgroups !== undefined) writeProc(pid, 'setgroups', maps.setgroups);
writeProc(pid, 'gid_map', '0 100000 65536\\n');`,
      diagnosis: 'the ranges that were given',
    },
  ],
};

function checkIdMaps(t: Trial): void {
  const range = {
    containerID: t.number(0, 9),
    hostID: t.number(100_000, 900_000),
    size: t.number(2, 60_000),
  };
  const groups = { ...range, hostID: range.hostID + t.number(1, 50) };
  const { pid } = inChild(t, () => unshare(CLONE.NEWUSER));
  const map = (file: string): string =>
    readFileSync(`/proc/${pid}/${file}`, 'utf8').trim().replace(/\s+/g, ' ');
  expectSame('the map of a new namespace', '', map('uid_map'), '');
  try {
    writeIdMaps(pid, { uid: [range], gid: [groups], setgroups: 'deny' });
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    const cause = 'EPERM: setgroups can be denied only before gid_map is written.';
    throw new Wrong({ expected: 'the maps to be written', observed: error.message, cause });
  }
  const line = (r: typeof range): string => `${r.containerID} ${r.hostID} ${r.size}`;
  expectThat(
    map('gid_map') !== '',
    'a map of groups',
    'an empty /proc/PID/gid_map',
    'gid_map was not written.',
  );
  expectSame('uid_map', line(range), map('uid_map'), 'Write the ranges that were given, with formatRanges.');
  expectSame(
    'gid_map',
    line(groups),
    map('gid_map'),
    'Groups have ranges of their own: the ranges that were given as gid.',
  );
  expectSame('setgroups', 'deny', map('setgroups'), 'setgroups was not written.');
}
