import { constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { getWindowSize, openPty, setControllingTerminal, setsid } from '../../chapters/01-processes/index.ts';
import { mount } from '../../chapters/02-namespaces/index.ts';
import { type Row, explains, explainedIn, made } from './coach-support.ts';

const openSlave = (): number => openSync(openPty().slavePath, constants.O_RDWR | constants.O_NOCTTY);
const TERMINALS: Row[] = [
  [
    'a controlling terminal without a session',
    () => setControllingTerminal(openSlave()),
    'Call setsid first',
  ],
  [
    'a second controlling terminal',
    () => {
      setsid();
      setControllingTerminal(openSlave());
      setControllingTerminal(openSlave());
    },
    'has a controlling terminal already',
  ],
  [
    'the controlling terminal of another session, without the right to take it',
    () => {
      setsid();
      const slave = openSlave();
      setControllingTerminal(slave);
      return explainedIn(() => {
        setsid();
        setControllingTerminal(slave);
      });
    },
    'of another session',
  ],
  [
    'a pair asked of a file',
    ({ folder }) => openPty(made(join(folder, 'f'))),
    'not the master of a pseudo-terminal',
  ],
  [
    'the size of a file',
    ({ folder }) => getWindowSize(openSync(made(join(folder, 'f')), 'r')),
    'is no terminal: a file, a pipe',
  ],
  ['the size of a closed descriptor', () => getWindowSize(999), 'The descriptor is not open here'],
  [
    'a slave that is locked',
    () => {
      // An instance of its own, in which nobody else has terminals.
      mount({ source: 'devpts', target: '/dev/pts', type: 'devpts', data: 'newinstance,ptmxmode=666' });
      openSync('/dev/pts/ptmx', constants.O_RDWR | constants.O_NOCTTY);
      openSync('/dev/pts/0', 'r+');
    },
    'Call ioctl TIOCSPTLCK',
  ],
];

explains('terminals', TERMINALS);
