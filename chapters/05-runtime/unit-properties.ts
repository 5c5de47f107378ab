import type { Property } from '../03-cgroups/index.ts';

const PREFIX = 'org.systemd.property.';

/**
 * Properties of the container's unit that annotations name: `org.systemd.property.TimeoutStopUSec: uint64 10000000`. The values are written as GVariant's
 * text format has them; those of `…Sec`, which are times, become `…USec`, which is what systemd knows. As runc has it: docs/systemd.md
 * @throws Error naming the annotation, for a value of another form
 */
export function unitProperties(annotations: Readonly<Record<string, string>>): Property[] {
  return Object.entries(annotations)
    .filter(([key]) => key.startsWith(PREFIX))
    .map(([key, text]) => {
      const name = key.slice(PREFIX.length);
      const fail = (why: string): never => {
        throw new Error(`annotations: ${key}: ${JSON.stringify(text)}: ${why}`);
      };
      if (!/^[A-Za-z]{4,}$/.test(name)) fail('the name of a property is letters, at least four');
      const { signature, value } = parseValue(text.trim()) ?? fail(FORMS);
      if (!/[^U]Sec$/.test(name)) return { name, signature, value };
      const seconds = Number(value);
      if (typeof value === 'string' || Number.isNaN(seconds)) fail('a time is a number of seconds');
      return {
        name: name.replace(/Sec$/, 'USec'),
        signature: 't',
        value: BigInt(Math.round(seconds * 1e6)),
      };
    });
}

const FORMS = "true, 'text', ['text', …], 7, uint64 7 and their like are allowed";

/** D-Bus's letter for each of GVariant's words. */
const NUMBERS: Readonly<Record<string, string>> = {
  byte: 'y',
  int32: 'i',
  uint32: 'u',
  int64: 'x',
  uint64: 't',
};

/** Source: GVariant text format, as far as properties of units have it. */
function parseValue(text: string): Omit<Property, 'name'> | undefined {
  if (text === 'true' || text === 'false') return { signature: 'b', value: text === 'true' };
  const [, word, digits] = /^(?:([a-z]+\d*) )?(-?\d+)$/.exec(text) ?? [];
  if (digits !== undefined) {
    const signature = NUMBERS[word ?? 'int32'];
    if (signature === undefined) return undefined;
    return { signature, value: 'xt'.includes(signature) ? BigInt(digits) : Number(digits) };
  }
  const string = /^(?:'([^']*)'|"([^"]*)")$/.exec(text);
  if (string) return { signature: 's', value: (string[1] ?? string[2])! };
  if (!/^\[.*\]$/.test(text)) return undefined;
  const items = text.slice(1, -1).trim();
  const values = items === '' ? [] : items.split(/\s*,\s*/).map((item) => parseValue(item)?.value);
  return values.every((value) => typeof value === 'string')
    ? { signature: 'as', value: values as string[] }
    : undefined;
}
