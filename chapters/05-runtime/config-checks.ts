// Checks of values in config.json, and what makes checks out of checks.

/** Looks at one value; throws ConfigError naming where it stands. */
export type Check = (value: unknown, where: string) => void;

/** A property of config.json that is missing, of the wrong type, or not to be had here. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export function fail(where: string, expected: string, value: unknown): never {
  const found = value === undefined ? 'it is missing' : `found ${brief(value)}`;
  throw new ConfigError(`${where || 'the file'}: expected ${expected}, ${found}`);
}

export function brief(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

export function string(value: unknown, where: string): void {
  if (typeof value !== 'string') fail(where, 'text', value);
}

export function noNul(value: unknown, where: string): void {
  if (typeof value !== 'string' || value.includes('\0')) fail(where, 'text without NUL', value);
}

export function nonEmptyString(value: unknown, where: string): void {
  if (typeof value !== 'string' || value === '' || value.includes('\0'))
    fail(where, 'text that is not empty', value);
}

export function absolutePath(value: unknown, where: string): void {
  if (typeof value !== 'string' || !value.startsWith('/') || value.includes('\0'))
    fail(where, 'an absolute path', value);
}

export function boolean(value: unknown, where: string): void {
  if (typeof value !== 'boolean') fail(where, 'true or false', value);
}

export function number(value: unknown, where: string): void {
  if (typeof value !== 'number') fail(where, 'a number', value);
}

/** A limit of setrlimit(2); the largest 64-bit number, which JSON.parse rounds, is "unlimited". */
export function limit(value: unknown, where: string): void {
  if (typeof value !== 'number' || value < 0 || value > 2 ** 64 || !Number.isInteger(value))
    fail(where, 'a whole number from 0 to 2^64 - 1', value);
}

export function int(min = 0, max = 2 ** 32 - 1): Check {
  return (value, where) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
      fail(where, `a whole number from ${min} to ${max}`, value);
  };
}

export function oneOf(...allowed: string[]): Check {
  return (value, where) => {
    if (!allowed.includes(value as string))
      fail(where, `one of ${allowed.map((a) => JSON.stringify(a)).join(', ')}`, value);
  };
}

export function array(of: Check): Check {
  return (value, where) => {
    if (!Array.isArray(value)) fail(where, 'a list', value);
    value.forEach((element, i) => of(element, `${where}[${i}]`));
  };
}

export function nonEmpty(check: Check): Check {
  return (value, where) => {
    if (Array.isArray(value) && value.length === 0) fail(where, 'at least one element', value);
    check(value, where);
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function record(of: Check): Check {
  return (value, where) => {
    if (!isObject(value)) fail(where, 'an object', value);
    for (const [key, element] of Object.entries(value)) of(element, `${where}[${JSON.stringify(key)}]`);
  };
}

export function object(properties: Record<string, Check>): Check {
  return (value, where) => {
    if (!isObject(value)) fail(where, 'an object', value);
    for (const [name, check] of Object.entries(properties)) {
      const optional = name.endsWith('?');
      const key = optional ? name.slice(0, -1) : name;
      if (optional && value[key] === undefined) continue;
      check(value[key], where ? `${where}.${key}` : key);
    }
  };
}

export function empty(value: unknown, where: string): void {
  if (!Array.isArray(value) || value.length > 0) fail(where, 'an empty list: no flags are known', value);
}

export function int64(value: unknown, where: string): void {
  if (!Number.isSafeInteger(value)) fail(where, 'a whole number', value);
}

export function closedRecord(keys: readonly string[], of: Check): Check {
  return (value, where) => {
    record(of)(value, where);
    const odd = Object.keys(value as object).find((key) => !keys.includes(key));
    if (odd !== undefined)
      throw new ConfigError(`${where}: ${JSON.stringify(odd)} is none of ${keys.join(', ')}`);
  };
}

export function absolutePathOrEmpty(value: unknown, where: string): void {
  if (value !== '') absolutePath(value, where);
}
