import {
  CannotCheck,
  expectSame,
  inChild,
  knownCapabilities,
  namesOf,
  readCapabilities,
  readStatus,
  Wrong,
  type Capability,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { setgroups } from '../02-namespaces/index.ts';
import { answer } from './exercise-support.ts';
import { become } from './identity.ts';

export const becoming: Exercise = {
  gap: '05.3',
  task: 'Become the container’s user with the container’s capabilities, and nothing more.',
  hints: [
    'Each step takes away something that an earlier one needs. Which step needs CAP_SETPCAP, which CAP_SETGID, and what happens to capabilities when root becomes someone else?',
    'capabilities(7), "Effect of user ID changes on capabilities"; prctl(2): PR_CAPBSET_DROP, PR_SET_KEEPCAPS. An ambient capability must be permitted and inheritable first.',
    'Drop from the bounding set all that is not in capabilities.bounding; KEEPCAPS 1; setGroups; setresgid; setresuid; KEEPCAPS 0; setCapabilities; clearAmbient; raiseOrSkip each; umask.',
  ],
  check: checkBecome,
  wrong: [
    {
      mistake: 'changes the user before the group',
      code: `for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
prctl(PR.SET_KEEPCAPS, 1);
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
      diagnosis: 'groups come before the user',
    },
    {
      mistake: 'does not keep the permitted set',
      code: `for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
      diagnosis: 'SET_KEEPCAPS',
    },
    {
      mistake: 'forgets the bounding set',
      code: `prctl(PR.SET_KEEPCAPS, 1);
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
prctl(PR.SET_KEEPCAPS, 0);
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
      diagnosis: 'setuid program gets back',
    },
    {
      mistake: 'drops the bounding set when the right to do so is gone',
      code: `prctl(PR.SET_KEEPCAPS, 1);
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
      diagnosis: 'CAP_SETPCAP',
    },
    {
      mistake: 'keeps the supplementary groups',
      code: `for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
prctl(PR.SET_KEEPCAPS, 1);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
prctl(PR.SET_KEEPCAPS, 0);
setCapabilities(capabilities);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
process.umask(user.umask ?? 0o022);`,
      diagnosis: 'supplementary groups',
    },
    {
      mistake: 'raises ambient capabilities too early',
      code: `for (const name of known)
  if (!capabilities.bounding.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
clearAmbient();
for (const name of capabilities.ambient) raiseOrSkip(name);
prctl(PR.SET_KEEPCAPS, 1);
setGroups(user);
checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
prctl(PR.SET_KEEPCAPS, 0);
setCapabilities(capabilities);
process.umask(user.umask ?? 0o022);`,
      diagnosis: 'permitted and inheritable',
    },
  ],
};

function checkBecome(t: Trial): void {
  const known = knownCapabilities();
  const own = readCapabilities('self')?.permitted ?? [];
  const spare = own.filter((name) => name !== 'CAP_SETPCAP');
  if (spare.length < 8) throw new CannotCheck('this process has few capabilities', 'run as root, sudo');
  const draw = (): Capability => spare.splice(t.number(0, spare.length - 1), 1)[0]!;
  const given = [draw(), draw(), draw(), draw()];
  const sorted = (names: readonly Capability[]): Capability[] => known.filter((name) => names.includes(name));
  const capabilities = {
    bounding: sorted([...given, draw()]),
    permitted: sorted(given),
    effective: sorted(given.slice(0, 3)),
    inheritable: sorted(given.slice(1)),
    ambient: sorted(given.slice(1, 3)),
  };
  const uid = t.number(1000, 60_000);
  const user = {
    uid,
    gid: uid + t.number(1, 99),
    additionalGids: [t.number(100, 199), t.number(200, 299)],
    umask: [0o027, 0o077, 0o007][t.number(0, 2)]!,
  };
  const left = 400 + t.number(0, 99);
  let pid: number;
  try {
    ({ pid } = inChild(t, () => {
      setgroups([left]); // root's own groups, which must not come along
      become({ user, capabilities, known });
    }));
  } catch (error) {
    const { message, syscall } = answer(error);
    const causes: Record<string, string> = {
      setresgid: 'With the user goes the right to change groups (CAP_SETGID): groups come before the user.',
      setgroups: 'With the user goes the right to change groups (CAP_SETGID): groups come before the user.',
      capset:
        'When root becomes someone else, the kernel empties the permitted set, and what is not permitted cannot be had: PR.SET_KEEPCAPS before.',
      prctl:
        'Dropping from the bounding set needs CAP_SETPCAP in effect: do it first, before the user is changed.',
    };
    const cause = causes[syscall ?? ''] ?? 'See capabilities(7) for this error.';
    throw new Wrong({ expected: 'no system call to fail', observed: message, cause });
  }
  const status = readStatus(pid)!;
  expectSame('Uid', user.uid, status.uid.effective, 'The user is not the one of config.json: setresuid.');
  expectSame(
    'Uid, all four',
    1,
    new Set(Object.values(status.uid)).size,
    'Real, effective and saved: setresuid.',
  );
  expectSame('Gid', user.gid, status.gid.effective, 'The group is not the one of config.json: setresgid.');
  expectSame(
    'Groups',
    user.additionalGids,
    [...status.groups].sort((a, b) => a - b),
    status.groups.includes(left)
      ? 'The runtime’s supplementary groups came along, and with them its access to files: setGroups.'
      : 'The groups are additionalGids: setGroups.',
  );
  const set = (mask: bigint): Capability[] => namesOf(mask).filter((name) => known.includes(name));
  const { bounding, permitted, effective, inheritable, ambient } = status.capabilities;
  expectSame('CapPrm', capabilities.permitted, sorted(set(permitted)), 'setCapabilities sets it.');
  expectSame('CapEff', capabilities.effective, sorted(set(effective)), 'setCapabilities sets it.');
  expectSame('CapInh', capabilities.inheritable, sorted(set(inheritable)), 'setCapabilities sets it.');
  expectSame(
    'CapBnd',
    capabilities.bounding,
    sorted(set(bounding)),
    'Whatever stays in the bounding set, a setuid program gets back: drop from it all that config.json does not name.',
  );
  expectSame(
    'CapAmb',
    capabilities.ambient,
    sorted(set(ambient)),
    'An ambient capability must be permitted and inheritable before: raise them last, after setCapabilities.',
  );
  const mask = parseInt(status.lines['Umask'] ?? '', 8);
  expectSame('Umask', user.umask.toString(8), mask.toString(8), 'process.umask(user.umask).');
}
