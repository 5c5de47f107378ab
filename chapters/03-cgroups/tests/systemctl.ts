import { spawnSync } from 'node:child_process';

/** What systemd says of a unit, also of one that is not there. @throws Error when systemctl(1) does not answer */
export function show(unit: string, ...properties: string[]): Record<string, string> {
  const words = ['show', unit, '-p', properties.join()];
  const { status, stdout, stderr, error } = spawnSync('systemctl', words, {
    encoding: 'utf8',
    timeout: 300_000, // a machine in software is slow
  });
  if (error || status !== 0) throw new Error(`systemctl ${words.join(' ')}: ${error?.message ?? stderr}`);
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}
