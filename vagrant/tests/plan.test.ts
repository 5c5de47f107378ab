import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BEYOND_UML, commandStep, PLANS, stepsFor } from '../plan.ts';

const beyond = Object.keys(BEYOND_UML);
const command = (...args: Parameters<typeof stepsFor>): string => stepsFor(...args)[0]!.command;

test('what user-mode-linux cannot run is run in qemu, and is there', () => {
  expect(beyond.filter((file) => !existsSync(join(import.meta.dirname, '../..', file)))).toEqual([]);
  expect(PLANS.qemu).toEqual({ suites: [beyond], demos: true });
  for (const file of beyond) {
    for (const { command } of stepsFor('uml', [])) expect(command).toContain(`--exclude '${file}'`);
    expect(command('qemu', [])).toContain(` '${file}'`);
  }
  expect(command('qemu', [])).not.toContain('--exclude');
});

test('each suite of the long run is a step, whose report says what to type to have it once more', () => {
  const steps = stepsFor('uml', []);
  const names = ['01-processes', '02-namespaces', '03-cgroups', '04-overlayfs', '05-runtime', 'final'];
  expect(steps.map(({ name }) => name)).toEqual(names);
  for (const { words, command } of steps) {
    expect(existsSync(join(import.meta.dirname, '../..', words.join()))).toBe(true);
    expect(stepsFor('uml', words)).toEqual([{ name: 'suites', command, vitest: true, words }]);
  }
  const last = steps.slice(-2);
  expect(
    stepsFor(
      'uml',
      last.flatMap(({ words }) => words),
    ),
  ).toEqual(last);
});

test('filters take the place of a machine’s suites; the very file that is named is run', () => {
  expect(command('uml', ['chapters/03-cgroups'])).toContain(` 'chapters/03-cgroups' --exclude `);
  expect(command('uml', ['chapters/03-cgroups'])).not.toContain('final/tests');
  expect(command('uml', [beyond[0]!])).not.toContain(`--exclude '${beyond[0]}'`);
});

test('a filter is a word, whatever is in it', () => {
  expect(command('uml', [`it's; reboot`])).toContain(`'it'\\''s; reboot'`);
});

test('the demos of all chapters, and the engine’s proof, are steps of their own', () => {
  const all = ['demo-01', 'demo-02', 'demo-03', 'demo-04', 'demo-05', 'demo-06', 'demo-07', 'start'];
  const names = (...args: Parameters<typeof stepsFor>): string[] => stepsFor(...args).map(({ name }) => name);
  expect(names('uml', ['demos'])).toEqual(all);
  expect(names('uml', ['demos', 'chapters/01'])).toEqual(['suites', ...all]);
  expect(names('systemd', [])).toEqual(['suites', ...all]);
  expect(names('qemu', [])).toEqual(['suites', ...all]);
  expect(names('systemd', ['start', 'demo-04'])).toEqual(['demo-04', 'start']);
  expect(names('systemd', ['demo-04', 'chapters/04'])).toEqual(['suites', 'demo-04']);
});

test('any command is a step, named as it was typed; one that would be two lines of the plan is refused', () => {
  expect(commandStep(`echo "it's"`)).toEqual({
    name: 'command',
    command: `echo "it's"`,
    vitest: false,
    words: ['--run', `'echo "it'\\''s"'`],
  });
  expect(() => commandStep('true\nreboot')).toThrow('a command for a machine is one line, without tabs');
});
