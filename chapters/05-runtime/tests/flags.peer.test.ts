import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { VERBS } from '../verbs.ts';

/** The options that runc's help text of a command lists: `--bundle`, `-b`. */
function flagsOfRunc(...command: string[]): string[] {
  const { stdout } = spawnSync('runc', [...command, '--help'], { encoding: 'utf8' });
  const options = stdout.slice(stdout.indexOf('OPTIONS:'));
  return [...options.matchAll(/^ +(--[\w-]+)(?: value)?(?:, (-\w)(?: value)?)?  /gm)].flatMap(
    ([, long, short]) => (short ? [long!, short] : [long!]),
  );
}

it.each(Object.keys(VERBS).filter((name) => name !== 'checkpoint' && name !== 'restore'))(
  'every option of runc %s is one here',
  (name) => {
    const { options } = VERBS[name]!;
    const ours = Object.entries(options).flatMap(([long, { short }]) => [
      `--${long}`,
      ...(short ? [`-${short}`] : []),
    ]);
    const missing = flagsOfRunc(name).filter((flag) => ![...ours, '--help', '-h'].includes(flag));
    expect(missing).toEqual([]);
  },
);

it('reads runc’s help: it has options at all', () => {
  expect(flagsOfRunc('run')).toContain('--preserve-fds');
  expect(flagsOfRunc('exec')).toContain('-p');
});
