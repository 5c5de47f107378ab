import { describe, expect, test } from 'vitest';
import { lookUpUser } from '../passwd.ts';

const accounts = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\nbroken line\n',
  group: 'root:x:0:\nstaff:x:50:web,root\nweb:x:34:\nlog:x:4:web\n',
};

describe('looking up who a container runs as', () => {
  test('nobody said: root, with its groups', () => {
    expect(lookUpUser('', accounts)).toEqual({ uid: 0, gid: 0, additionalGids: [50] });
  });
  test('a name has its primary group and those that list it', () => {
    expect(lookUpUser('web', accounts)).toEqual({ uid: 33, gid: 34, additionalGids: [50, 4] });
  });
  test('a number is taken as it is; an entry for it gives the groups', () => {
    expect(lookUpUser('33', accounts)).toEqual({ uid: 33, gid: 34, additionalGids: [50, 4] });
    expect(lookUpUser('1234', accounts)).toEqual({ uid: 1234, gid: 0, additionalGids: [] });
  });
  test('a group that is named takes the place of all others', () => {
    expect(lookUpUser('web:staff', accounts)).toEqual({ uid: 33, gid: 50, additionalGids: [] });
    expect(lookUpUser('1234:4321', accounts)).toEqual({ uid: 1234, gid: 4321, additionalGids: [] });
  });
  test('groups can be added', () => {
    expect(lookUpUser('web:web', accounts, ['log', '77']).additionalGids).toEqual([4, 77]);
  });
  test('refuses names that the image does not have, and numbers that are too large', () => {
    expect(() => lookUpUser('mallory', accounts)).toThrow(
      'unable to find user mallory: no matching entries in passwd file',
    );
    expect(() => lookUpUser('web:nope', accounts)).toThrow('unable to find group nope');
    expect(() => lookUpUser('4294967295', accounts)).toThrow('must be in range');
  });
});
