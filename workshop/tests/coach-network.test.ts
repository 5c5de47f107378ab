import { renameSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CLONE, runTool, setuid, unshare } from '../../chapters/02-namespaces/index.ts';
import { explain } from '../coach.ts';
import { type Row, top, explains } from './coach-support.ts';

const ip = (...args: string[]): string => runTool('ip', args);
const bridge = (name: string): void => {
  unshare(CLONE.NEWNET);
  ip('link', 'add', 'name', name, 'type', 'bridge');
};
const NETWORK: Row[] = [
  [
    'ip without the capability',
    () => (unshare(CLONE.NEWNET), setuid(1000), ip('link', 'add', 'name', 'a', 'type', 'bridge')),
    'needs CAP_NET_ADMIN',
  ],
  [
    'a link that is there',
    () => (bridge('a'), ip('link', 'add', 'name', 'a', 'type', 'bridge')),
    'There is an interface of this name already',
  ],
  [
    'a link that is not there',
    () => (unshare(CLONE.NEWNET), ip('link', 'set', 'dev', 'a', 'up')),
    'There is no interface of this name',
  ],
  [
    'a name that is too long',
    () => (unshare(CLONE.NEWNET), ip('link', 'add', 'name', 'a'.repeat(16), 'type', 'bridge')),
    '1 to 15 characters',
  ],
  [
    'an address twice',
    () => {
      bridge('a');
      for (const _ of [1, 2]) ip('address', 'add', '10.7.7.1/24', 'dev', 'a');
    },
    'The interface has this address already',
  ],
  [
    'a route by a gateway that is not in sight',
    () => {
      bridge('a');
      ip('link', 'set', 'dev', 'a', 'up');
      ip('route', 'add', 'default', 'via', '192.0.2.7');
    },
    'The gateway cannot be reached directly',
  ],
  [
    'a second default route',
    () => {
      bridge('a');
      ip('address', 'add', '10.7.7.1/24', 'dev', 'a');
      ip('link', 'set', 'dev', 'a', 'up');
      for (const _ of [1, 2]) ip('route', 'add', 'default', 'via', '10.7.7.2');
    },
    'There is such a route already',
  ],
  [
    'a route over what is down',
    () => (bridge('a'), ip('route', 'add', '10.7.8.0/24', 'dev', 'a')),
    'The interface is down',
  ],
  [
    'a rule in a table that is missing',
    () => (unshare(CLONE.NEWNET), runTool('nft', ['add', 'chain', 'ip', 'nothing', 'here'])),
    'Add the table first',
  ],
  [
    'nft with a rule that it cannot read',
    () => runTool('nft', ['-c', 'add', 'nonsense']),
    'nft cannot read the rule',
  ],
];

explains('networks', NETWORK);

describe('the coach on sockets', () => {
  const refused = (path: string): Promise<string | undefined> =>
    new Promise((resolve) => createConnection(path).once('error', (error) => resolve(explain(error))));

  test('that are missing', async () => {
    expect(await refused(join(top, 'none.sock'))).toContain('There is no socket at this path');
  });

  test('whose daemon has ended, or that are taken', async () => {
    const path = join(top, 'old.sock');
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    const taken = await new Promise((resolve) =>
      createServer()
        .once('error', (e) => resolve(explain(e)))
        .listen(path),
    );
    expect(taken).toContain('The address is taken');
    renameSync(path, `${path}.kept`); // closing unlinks the name it knows
    await new Promise((resolve) => server.close(resolve));
    expect(await refused(`${path}.kept`)).toContain('nobody listens');
  });
});
