const cell = new Int32Array(new SharedArrayBuffer(4));

/**
 * Looks until there is something to see, and returns it. The event loop stands still meanwhile, and no test's time limit ends that: so
 * this has one of its own.
 * @throws Error when `seconds` have passed, with what was waited for
 */
export function until<T>(what: string, look: () => T, seconds = 30): T {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const seen = look();
    if (seen) return seen;
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}`);
    Atomics.wait(cell, 0, 0, 1);
  }
}
