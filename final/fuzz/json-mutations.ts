/** A random sequence that the seed gives again. Source: mulberry32. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What goes in a property's place: wrong types, limits of numbers, text that is long, empty, or leads elsewhere. */
const VALUES: readonly unknown[] = [
  null, true, false, 0, -1, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 64, -(2 ** 63), 1e308, '', ' ', '/', '..', '../../..', '/proc/self/exe',
  '/dev/zero', 'a\0b', '\u{1F600}', 'x'.repeat(5000), [], [null], [[]], {}, { a: 1 }, ['CAP_EVERYTHING'], 'SCMP_ACT_ALLOW', '__proto__',
  'constructor', { path: '/no/such' }, [{ type: 'pid' }, { type: 'pid' }], { toString: 1 },
]; // prettier-ignore

/** Changes one to five places of a config: another value, none, a copy of what stands elsewhere, a list made longer, a key made up. */
export function mutate(spec: unknown, next: () => number): unknown {
  const copy = structuredClone(spec);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  const places = placesOf(copy);
  for (let changes = 1 + Math.floor(next() * 5); changes > 0; changes--) {
    const [holder, key] = pick(places);
    const kind = next();
    if (kind < 0.6) holder[key] = structuredClone(pick(VALUES));
    else if (kind < 0.75) delete holder[key];
    else if (kind < 0.9) {
      const [from, name] = pick(places);
      holder[key] = structuredClone(from[name]);
    } else if (Array.isArray(holder[key])) (holder[key] as unknown[]).push(structuredClone(pick(VALUES)));
    else
      holder[pick(['hasOwnProperty', 'toString', 'unknown', 'path', 'type'])] = structuredClone(pick(VALUES));
  }
  return copy;
}

/** An object whose properties may be anything. */
export type Holder = Record<string, unknown>;

function placesOf(value: unknown): [Holder, string][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((key): [Holder, string][] => [
    [value as Holder, key],
    ...placesOf((value as Holder)[key]),
  ]);
}
