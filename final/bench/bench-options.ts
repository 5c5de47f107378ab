import { parseArgs, type ParseArgsConfig } from 'node:util';

/** A whole number that a benchmark takes, from 1. */
interface Count {
  ordinary: number;
  limit: number;
}

/** The options of a benchmark, `--json` and its numbers; or, as text, what to say instead: the usage, or what is wrong. */
export function readOptions<Name extends string>(
  bench: string,
  usage: string,
  counts: Readonly<Record<Name, Count>>,
  args: string[],
): ({ json: boolean } & Record<Name, number>) | string {
  const options: NonNullable<ParseArgsConfig['options']> = {
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  };
  for (const name of Object.keys(counts)) options[name] = { type: 'string' };
  try {
    const { values } = parseArgs({ args, options });
    if (values['help']) return usage;
    const numbers = {} as Record<Name, number>;
    for (const [name, { ordinary, limit }] of Object.entries<Count>(counts)) {
      const given = String(values[name] ?? ordinary);
      const value = Number(given);
      if (!Number.isInteger(value) || value < 1 || value > limit)
        return `bench ${bench}: --${name} ${given}: give a number from 1 to ${limit}`;
      numbers[name as Name] = value;
    }
    return { json: values['json'] === true, ...numbers };
  } catch (error) {
    return `bench ${bench}: ${(error as Error).message}`;
  }
}
