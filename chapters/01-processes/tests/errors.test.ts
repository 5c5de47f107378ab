import { openSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { errnoName, isErrno, SyscallError } from '../index.ts';

describe('errors of system calls', () => {
  test('a number that has two names is known by both, and shown by the one of the manual', () => {
    const { EAGAIN, ENOTSUP } = constants.errno;
    expect([errnoName(EAGAIN), errnoName(ENOTSUP)]).toEqual(['EAGAIN', 'ENOTSUP']);
    const error = new SyscallError('flock', EAGAIN);
    expect(isErrno(error, 'EAGAIN')).toBe(true);
    expect(isErrno(error, 'EWOULDBLOCK')).toBe(true);
    expect(isErrno(new SyscallError('setxattr', ENOTSUP), 'ENOENT', 'EOPNOTSUPP')).toBe(true);
    expect(isErrno(error, 'EPERM', 'ENOTSUP')).toBe(false);
  });

  test('errors of Node count too, other errors do not', () => {
    let error: unknown;
    try {
      openSync('/nowhere', 'r');
    } catch (refusal) {
      error = refusal;
    }
    expect(isErrno(error, 'ENOENT')).toBe(true);
    expect(isErrno(error, 'EACCES')).toBe(false);
    expect(isErrno(new Error('ENOENT'), 'ENOENT')).toBe(false);
    expect(isErrno({ code: 'ENOENT' }, 'ENOENT')).toBe(false);
  });
});
