import { readFileSync } from 'node:fs';
import { isErrno } from './errors.ts';
import { expectSame, expectThat, Wrong, type Exercise, type Trial } from './exercise.ts';
import { DOCKER_CAPABILITIES } from './capability-names.ts';
import { readCapabilities, setCapabilities } from './capabilities.ts';

export const capabilities: Exercise = {
  gap: '01.3',
  task: 'Set capability sets with capset(2); a set that is not given stays as it is.',
  hints: [
    'The call takes all three sets at once. To leave one alone, first ask what it is.',
    'capset(2) describes the structures. There are more than 32 capabilities, so version 3 has two structs of three words: effective, permitted, inheritable.',
    'c_capget(header, data) into six words; for set i: data[i] = the mask’s low 32 bits, data[i + 3] = the high ones; then c_capset(header, data).',
  ],
  check: checkSetCapabilities,
  wrong: [
    {
      mistake: 'writes the low 32 bits alone',
      code: `const header = new Uint32Array([VERSION_3, 0]);
const data = new Uint32Array(6);
checked('capget', c_capget(header, data));
[sets.effective, sets.permitted, sets.inheritable].forEach((names, word) => {
  if (names) data[word] = Number(maskOf(names) & 0xffffffffn);
});
checked('capset', c_capset(header, data));`,
      diagnosis: 'beyond 32',
    },
    {
      mistake: 'does not ask for the sets that stay',
      code: `const header = new Uint32Array([VERSION_3, 0]);
const data = new Uint32Array(6);
[sets.effective, sets.permitted, sets.inheritable].forEach((names, word) => {
  const mask = maskOf(names ?? sets.effective ?? []);
  data[word] = Number(mask & 0xffffffffn);
  data[word + 3] = Number(mask >> 32n);
});
checked('capset', c_capset(header, data));`,
      diagnosis: 'was not given',
    },
    {
      mistake: 'has effective and permitted the wrong way round',
      code: `const header = new Uint32Array([VERSION_3, 0]);
const data = new Uint32Array(6);
checked('capget', c_capget(header, data));
[sets.permitted, sets.effective, sets.inheritable].forEach((names, word) => {
  if (!names) return;
  data[word] = Number(maskOf(names) & 0xffffffffn);
  data[word + 3] = Number(maskOf(names) >> 32n);
});
checked('capset', c_capset(header, data));`,
      diagnosis: 'in the order effective, permitted, inheritable',
    },
  ],
};

function checkSetCapabilities(t: Trial): void {
  const before = readCapabilities('self')!;
  const kept = DOCKER_CAPABILITIES.filter((name) => before.permitted.includes(name) && t.number(0, 1) === 1);
  if (kept.length === 0) kept.push(...DOCKER_CAPABILITIES.slice(0, 1));
  try {
    setCapabilities({ effective: kept });
  } catch (error) {
    if (!isErrno(error, 'EPERM')) throw error;
    throw new Wrong({
      expected: `capset to accept ${kept.length} effective capabilities`,
      observed: error instanceof Error ? error.message : String(error),
      cause:
        'EPERM: effective must lie within permitted. Are the words in the order effective, permitted, inheritable?',
    });
  }
  const status = readFileSync('/proc/self/status', 'utf8');
  const mask = (key: string): bigint => BigInt(`0x${new RegExp(`^${key}:\\s+(\\w+)`, 'm').exec(status)![1]}`);
  const after = readCapabilities('self')!;
  expectThat(
    mask('CapEff') >> 32n === 0n,
    'no effective capability beyond number 31',
    `CapEff ${mask('CapEff').toString(16)}`,
    'There are capabilities beyond 32 bits: the second struct holds their half of the mask.',
  );
  expectSame(
    'the permitted set',
    before.permitted,
    after.permitted,
    'The permitted set was not given, and must stay as it was: ask with capget first.',
  );
  expectSame(
    'the effective set',
    [...kept].sort(),
    [...after.effective].sort(),
    'The words are in the order effective, permitted, inheritable.',
  );
}
