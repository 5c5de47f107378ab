import { join } from 'node:path';
import { DOCKER_CAPABILITIES, type Capability } from './capability-names.ts';
import { maskOf, namesOf, readCapabilities, type CapabilitySets } from './capabilities.ts';
import { afterExec, type Execution } from './exec-capabilities.ts';
import { CannotCheck, expectSame, type Exercise, type Trial } from './exercise.ts';
import { ROOTS_FILE, type FileCapabilities } from './file-capabilities.ts';
import { execWithSets } from './exec-with-sets.ts';
import { SECBIT, setNoNewPrivs, setSecurebits } from './prctl.ts';

/** The start of every answer here. */
const BOTH = `const both = (a: readonly Capability[], b: readonly Capability[]): Capability[] => a.filter((name) => b.includes(name));`;
const RETURN = `return { effective: file?.effective ? permitted : ambient, permitted, inheritable: before.inheritable, bounding: before.bounding, ambient };`;
const REFUSE = `if (privileged && file?.effective && !file.permitted.every((name) => before.bounding.includes(name) || before.inheritable.includes(name))) return undefined;`;

export const afterExecution: Exercise = {
  gap: '01.5',
  task: 'Say which capabilities a process has after execve(2), from those that it had and from what the file brings along.',
  hints: [
    'Two go in, the process and the file, and neither alone decides: what the file permits counts as far as the bounding set reaches, what it lets inherit as far as the process has it inheritable.',
    'capabilities(7), "Transformation of capabilities during execve()", has five lines, one a set. P is the process before, P’ after, F the file. "Safety checking for capability-dumb binaries" has the refusal.',
    'ambient = privileged ? [] : before.ambient; permitted = (F inheritable ∩ before.inheritable) + (F permitted ∩ before.bounding), with noNewPrivs ∩ before.permitted, and then + ambient; effective = F effective ? permitted : ambient; the other two stay.',
  ],
  check: checkAfterExec,
  wrong: [
    {
      mistake: 'forgets the bounding set',
      code: `${BOTH}
const ambient = privileged ? [] : before.ambient;
const fromFile = [...both(file?.inheritable ?? [], before.inheritable), ...(file?.permitted ?? [])];
const permitted = [...(noNewPrivs ? both(fromFile, before.permitted) : fromFile), ...ambient];
${RETURN}`,
      diagnosis: 'bounding set is the ceiling',
    },
    {
      mistake: 'takes permitted to survive',
      code: `${BOTH}
${REFUSE}
const ambient = privileged ? [] : before.ambient;
const permitted = [...before.permitted, ...both(file?.permitted ?? [], before.bounding)];
${RETURN}`,
      diagnosis: 'what was permitted is gone',
    },
    {
      mistake: 'lets ambient capabilities through to a file with its own',
      code: `${BOTH}
${REFUSE}
const ambient = before.ambient;
const fromFile = [...both(file?.inheritable ?? [], before.inheritable), ...both(file?.permitted ?? [], before.bounding)];
const permitted = [...(noNewPrivs ? both(fromFile, before.permitted) : fromFile), ...ambient];
${RETURN}`,
      diagnosis: 'a privileged file clears the ambient set',
    },
    {
      mistake: 'makes all that is permitted effective',
      code: `${BOTH}
${REFUSE}
const ambient = privileged ? [] : before.ambient;
const fromFile = [...both(file?.inheritable ?? [], before.inheritable), ...both(file?.permitted ?? [], before.bounding)];
const permitted = [...(noNewPrivs ? both(fromFile, before.permitted) : fromFile), ...ambient];
return { effective: permitted, permitted, inheritable: before.inheritable, bounding: before.bounding, ambient };`,
      diagnosis: 'only the file’s effective bit',
    },
    {
      mistake: 'does not know no_new_privs',
      code: `${BOTH}
${REFUSE}
const ambient = privileged ? [] : before.ambient;
const permitted = [...both(file?.inheritable ?? [], before.inheritable), ...both(file?.permitted ?? [], before.bounding), ...ambient];
${RETURN}`,
      diagnosis: 'no_new_privs',
    },
    {
      mistake: 'starts a program that cannot get what it needs',
      code: `${BOTH}
const ambient = privileged ? [] : before.ambient;
const fromFile = [...both(file?.inheritable ?? [], before.inheritable), ...both(file?.permitted ?? [], before.bounding)];
const permitted = [...(noNewPrivs ? both(fromFile, before.permitted) : fromFile), ...ambient];
${RETURN}`,
      diagnosis: 'EPERM',
    },
  ],
};

interface Case {
  what: string;
  before: CapabilitySets;
  file?: FileCapabilities;
  root?: boolean;
  noNewPrivs?: boolean;
  cause: string;
}

/** Lets the kernel execute a program with sets drawn at random, and compares what it got with what was said before. */
function checkAfterExec(t: Trial): void {
  const have = readCapabilities('self')!.permitted;
  const pool = DOCKER_CAPABILITIES.filter((name) => have.includes(name) && name !== 'CAP_SETPCAP');
  if (pool.length < 8)
    throw new CannotCheck('this process has too few capabilities to give away', 'npm run doctor');
  for (let i = pool.length - 1; i > 0; i--) {
    const j = t.number(0, i);
    [pool[i], pool[j]] = [pool[j]!, pool[i]!];
  }
  const [a, b, c, d, e] = pool as [Capability, Capability, Capability, Capability, Capability];
  const sets = (of: Partial<CapabilitySets>): CapabilitySets => ({
    effective: [],
    permitted: have,
    inheritable: [],
    bounding: have,
    ambient: [],
    ...of,
  });
  const without = (name: Capability): Capability[] => have.filter((one) => one !== name);
  const cases: Case[] = [
    {
      what: 'a plain program, with ambient capabilities',
      before: sets({ inheritable: [a, b], ambient: [a] }),
      cause:
        'A file without capabilities gives nothing: what was permitted is gone, only the ambient set stays.',
    },
    {
      what: 'a file without its effective bit',
      before: sets({}),
      file: { permitted: [b, c], inheritable: [], effective: false },
      cause: 'Permitted is not yet effective: only the file’s effective bit makes it so.',
    },
    {
      what: 'a file that permits, under a lowered ceiling',
      before: sets({ bounding: without(c), inheritable: [a, d] }),
      file: { permitted: [b, c], inheritable: [a, e], effective: false },
      cause: 'The bounding set is the ceiling of what a file permits.',
    },
    {
      what: 'a file with its own, and an ambient set',
      before: sets({ inheritable: [d], ambient: [d] }),
      file: { permitted: [b], inheritable: [], effective: true },
      cause: 'Executing a privileged file clears the ambient set.',
    },
    {
      what: 'a file that gives, and no_new_privs',
      before: sets({ permitted: without(b) }),
      file: { permitted: [b, c], inheritable: [], effective: true },
      noNewPrivs: true,
      cause: 'With no_new_privs a program gets nothing that was not permitted before.',
    },
    {
      what: 'a file with its effective bit, and not all that it asks for',
      before: sets({ bounding: without(c) }),
      file: { permitted: [b, c], inheritable: [], effective: true },
      cause: 'The kernel refuses (EPERM) to start a program whose effective bit promises what it cannot get.',
    },
    {
      what: 'user 0, under a lowered ceiling',
      before: sets({ bounding: pool.slice(0, t.number(2, 6)), inheritable: [] }),
      root: true,
      cause: 'For user 0 every file counts as permitting everything; the bounding set is the ceiling.',
    },
  ];
  for (const one of cases) checkCase(t, one);
}

const SETS = ['effective', 'permitted', 'inheritable', 'bounding', 'ambient'] as const;

function checkCase(t: Trial, { what, before, file, root, noNewPrivs, cause }: Case): void {
  const seen = execWithSets(join(t.folder(), 'cat'), {
    sets: before,
    file,
    prepare: () => {
      if (!root) setSecurebits(SECBIT.NOROOT);
      if (noNewPrivs) setNoNewPrivs();
    },
  });
  const execution: Execution = {
    file: root ? ROOTS_FILE : file,
    privileged: file !== undefined,
    noNewPrivs: noNewPrivs === true,
  };
  const said = afterExec(before, execution);
  const outcome = (sets: CapabilitySets | undefined): string =>
    sets ? 'is executed' : 'is refused with EPERM';
  expectSame(`${what}, as the kernel did it`, outcome(seen), outcome(said), cause);
  if (seen && said)
    for (const set of SETS)
      expectSame(
        `${what}: ${set}, as the kernel did it`,
        namesOf(maskOf(seen[set])),
        namesOf(maskOf(said[set])),
        cause,
      );
}
