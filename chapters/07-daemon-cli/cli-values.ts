/**
 * The values of flags, from text: each function gives the value, or throws a RangeError that says what is wrong and what is allowed.
 * Nothing here looks at the machine, except where a file is named.
 */
import { readFileSync } from 'node:fs';

const BINARY_UNITS = { b: 0, k: 1, m: 2, g: 3, t: 4, p: 5 } as const;

/** Bytes, from `512m`, `1.5g`, `64MiB` or a plain number. Units are powers of 1024. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?(?:([bkmgtp])(?:i?b)?)?$/i.exec(text.trim());
  if (!match) throw new RangeError('give a number and a unit: b, k, m or g, such as 512m');
  const unit = (match[2]?.toLowerCase() ?? 'b') as keyof typeof BINARY_UNITS;
  return Math.trunc(Number(match[1]) * 1024 ** BINARY_UNITS[unit]);
}

/** Bytes, or -1 for "no limit". */
export const parseBytesOrUnlimited = (text: string): number => (text === '-1' ? -1 : parseBytes(text));

/** Whole numbers within limits. */
export function parseInteger(min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER) {
  return (text: string): number => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
    if (!(value >= min && value <= max)) throw new RangeError(`give a whole number${limits(min, max)}`);
    return value;
  };
}

function limits(min: number, max: number): string {
  if (max !== Number.MAX_SAFE_INTEGER) return ` from ${min} to ${max}`;
  return min === Number.MIN_SAFE_INTEGER ? '' : `, ${min} or more`;
}

/** Billionths of a processor, from `0.5` or `1/2`. */
export function parseCpus(text: string): number {
  const match = /^(\d*\.?\d+|\d+\.)(?:\/(\d+))?$/.exec(text);
  const value = match ? Number(match[1]) / Number(match[2] ?? 1) : NaN;
  if (!Number.isFinite(value)) throw new RangeError('give a number of processors, such as 0.5 or 2');
  const nano = value * 1e9;
  if (Math.abs(nano - Math.round(nano)) > 1e-3)
    throw new RangeError('value is too precise: give at most nine decimals');
  return Math.round(nano);
}

const DURATION_UNITS: Record<string, number> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Nanoseconds, from Go's way to write a duration: `1h30m`, `1.5s`, `300ms`. */
export function parseDuration(text: string): number {
  const pieces = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (text !== '0' && (!pieces.length || pieces.map((p) => p[0]).join('') !== text))
    throw new RangeError('give a number and a unit: ms, s, m or h, such as 1m30s');
  return pieces.reduce((sum, [, number, unit]) => sum + Number(number) * DURATION_UNITS[unit!]!, 0);
}

/** One of some words. */
export const parseOneOf =
  (...allowed: readonly string[]) =>
  (text: string): string => {
    if (!allowed.includes(text)) throw new RangeError(`give one of ${allowed.join(', ')}`);
    return text;
  };

/** `NAME=value`, or `NAME` to take over what it is here, where it is set. */
export function parseEnv(text: string): string {
  if (text === '' || text.startsWith('='))
    throw new RangeError(`invalid environment variable: ${text}: give NAME=value, or NAME`);
  return text;
}

/**
 * `NAME` alone becomes `NAME=value` with the value that it has here. Where it has none the name alone is sent: the container
 * then has no such variable, even if its image has.
 */
export function resolveEnv(lines: readonly string[], environment: NodeJS.ProcessEnv): string[] {
  return lines.map((line) => {
    const value = environment[line];
    return line.includes('=') || value === undefined ? line : `${line}=${value}`;
  });
}

/** `key=value`, or `key` alone, which is `key=`. */
export function parseKeyValue(text: string): [string, string] {
  const at = text.indexOf('=');
  const key = at < 0 ? text : text.slice(0, at);
  if (!key.trim()) throw new RangeError(`invalid label '${text}': empty name: give key=value`);
  return [key, at < 0 ? '' : text.slice(at + 1)];
}

/** `key=value`, both given. */
export function parseStrictKeyValue(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new RangeError('give name=value');
  return [text.slice(0, at), text.slice(at + 1)];
}

/**
 * The lines of a file of environment variables or labels: blank lines and those that begin with `#` are left out.
 * @throws Error when the file cannot be read, or a name has a blank in it
 */
export function readKeyValueFile(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new Error(`open ${path}: ${code === 'ENOENT' ? 'no such file or directory' : code}`, {
      cause: error,
    });
  }
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line, index) => {
      const name = line.split('=', 1)[0]!;
      if (name === '')
        throw new RangeError(`${path}: no variable name on line ${JSON.stringify(line)} (${index + 1})`);
      if (/\s/.test(name)) throw new RangeError(`${path}: variable '${name}' contains whitespaces`);
      return line;
    });
}

/** A network to join: one that is always there, another container's, or one made by name. */
export function parseNetwork(text: string): string {
  const joined = /^container:(.*)$/.exec(text);
  const name = joined ? joined[1]! : text;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name))
    throw new RangeError('give bridge, host, none, container:NAME, or the name of a network');
  return text;
}

/** `no`, `always`, `unless-stopped` or `on-failure[:times]`. */
export function parseRestart(text: string): { Name: string; MaximumRetryCount: number } {
  const match = /^(no|always|unless-stopped|on-failure)(?::(\d+))?$/.exec(text || 'no');
  if (!match || (match[2] && match[1] !== 'on-failure'))
    throw new RangeError('give no, always, unless-stopped or on-failure[:times]');
  return { Name: match[1]!, MaximumRetryCount: Number(match[2] ?? 0) };
}

/** `a=b,c` as CSV of fields: a field may be quoted, with commas inside. */
export function splitFields(text: string): string[] {
  return (text.match(/(?:"(?:[^"]|"")*"|[^,])+/g) ?? []).map((field) =>
    field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field,
  );
}
