import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openCgroup } from '../index.ts';

export const tsx = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'tsx');
/** A part of the chapter's demo, by its file. */
export const demoPart = (name: string): string => join(import.meta.dirname, '..', name);

/** Of what the demo named, nothing may be there: neither its cgroups nor the trees that it made for release_agent. */
export function expectGone(text: string): void {
  const [name] = /ch03-demo-[0-9a-f]{6}/.exec(text)!;
  expect(openCgroup(`/${name}`).exists()).toBe(false);
  expect(readFileSync('/proc/self/cgroup', 'utf8')).not.toContain(name);
}
