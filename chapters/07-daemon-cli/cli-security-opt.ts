import { readFileSync } from 'node:fs';

/**
 * `--security-opt`: `seccomp=FILE` is sent as what the file says, because the daemon may be on another machine.
 * @throws Error when the file cannot be read or is no JSON
 */
export function parseSecurityOpt(text: string): string {
  const [, name, value] = /^([^=:]+)[=:](.*)$/s.exec(text) ?? [];
  if (value === undefined) {
    if (text === 'no-new-privileges') return text;
    throw new RangeError(`invalid --security-opt: ${JSON.stringify(text)}: give name=value`);
  }
  if (name !== 'seccomp' || value === 'unconfined' || value === 'builtin') return text;
  let profile: string;
  try {
    profile = readFileSync(value, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      `opening seccomp profile (${value}) failed: ${code === 'ENOENT' ? 'no such file or directory' : code}`,
      { cause: error },
    );
  }
  try {
    return `seccomp=${JSON.stringify(JSON.parse(profile))}`;
  } catch (cause) {
    throw new Error(`compacting json for seccomp profile (${value}) failed: ${(cause as Error).message}`, {
      cause,
    });
  }
}
