import { describe, expect, test } from 'vitest';
import { familiarString, normalizeReference, parseReference } from '../index.ts';

const hex = 'a'.repeat(64);

describe('a reference', () => {
  test.each([
    ['busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36', 'busybox:1.36'],
    ['user/app', 'docker.io/user/app:latest', 'user/app:latest'],
    ['docker.io/busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['index.docker.io/library/busybox', 'docker.io/library/busybox:latest', 'busybox:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/a/b:v1', 'localhost:5000/a/b:v1', 'localhost:5000/a/b:v1'],
    ['ghcr.io/a/b-c__d', 'ghcr.io/a/b-c__d:latest', 'ghcr.io/a/b-c__d:latest'],
    [`busybox@sha256:${hex}`, `docker.io/library/busybox@sha256:${hex}`, `busybox@sha256:${hex}`],
    [`busybox:1@sha256:${hex}`, `docker.io/library/busybox:1@sha256:${hex}`, `busybox:1@sha256:${hex}`],
    ['[::1]:5000/app', '[::1]:5000/app:latest', '[::1]:5000/app:latest'],
  ])('%s is completed as Docker does', (text, full, familiar) => {
    expect(normalizeReference(text)).toBe(full);
    expect(familiarString(parseReference(text))).toBe(familiar);
  });

  test.each([
    ['', 'repository name'],
    ['Busybox', 'must be lowercase'],
    ['busybox:', 'a tag is'],
    ['busybox:-x', 'a tag is'],
    ['a//b', 'repository name'],
    ['-a', 'repository name'],
    ['../etc', 'host name|repository name'],
    ['busybox@sha256:12', 'invalid digest'],
    [hex, 'image ID'],
    [`${'a/'.repeat(130)}b`, 'at most 255'],
  ])('%j is refused with the reason', (text, reason) => {
    expect(() => parseReference(text)).toThrow(new RegExp(reason));
  });

  test('a refusal does not repeat what is longer than anyone reads', () => {
    for (const text of [
      'a'.repeat(100_000),
      `a@sha256:${'0'.repeat(100_000)}`,
      `${'A'.repeat(100_000)}/b:`,
    ]) {
      expect(() => parseReference(text)).toThrow(/…/);
      expect(() => parseReference(text)).toThrow(/^.{1,1000}$/);
    }
  });
});
