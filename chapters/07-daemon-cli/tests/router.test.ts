import { describe, expect, test } from 'vitest';
import type { Route } from '../router.ts';
import { compareVersions, router } from '../router.ts';

const nothing = (): void => undefined;
const table: Route[] = [
  ['GET', '/containers/json', nothing],
  ['GET', '/containers/{name}/json', nothing],
  ['DELETE', '/images/{name...}', nothing],
  ['GET', '/images/{name...}/json', nothing],
];
const route = router(table);

describe('the router', () => {
  test('finds a route with and without a version before the path', () => {
    expect(route('GET', '/containers/json').version).toBe('1.50');
    expect(route('GET', '/v1.41/containers/json').version).toBe('1.41');
  });

  test('gives what the holes matched, unescaped', () => {
    expect(route('GET', '/v1.41/containers/a%20b/json').params).toMatchObject({ name: 'a b' });
  });

  test('lets a hole with dots match slashes, as the names of images have them', () => {
    expect(route('DELETE', '/images/host:5000/a/b:tag').params).toMatchObject({ name: 'host:5000/a/b:tag' });
    expect(route('GET', '/images/a/b/json').params).toMatchObject({ name: 'a/b' });
  });

  test('answers 404 for another method or path', () => {
    expect(() => route('POST', '/containers/json')).toThrow('page not found');
    expect(() => route('GET', '/containers/x/y/json')).toThrow('page not found');
  });

  test('refuses versions that are too new or too old, in Docker’s words', () => {
    expect(() => route('GET', '/v9.99/containers/json')).toThrow(
      'client version 9.99 is too new. Maximum supported API version is 1.50',
    );
    expect(() => route('GET', '/v1.9/containers/json')).toThrow('client version 1.9 is too old');
  });

  test('refuses a path that is not well escaped', () => {
    expect(() => route('GET', '/containers/%zz/json')).toThrow('not well escaped');
  });

  test('compares versions by their numbers', () => {
    expect(compareVersions('1.9', '1.10')).toBeLessThan(0);
    expect(compareVersions('1.41', '1.41')).toBe(0);
  });
});
