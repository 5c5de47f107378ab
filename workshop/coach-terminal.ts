import { readStat } from '../chapters/01-processes/index.ts';
import type { Rule } from './coach-rule.ts';

// Pseudo-terminals: ioctl_tty(2), pts(4). The subject of ioctl begins with the request.

export const terminalRules: readonly Rule[] = [
  {
    calls: ['ioctl'],
    codes: ['EPERM'],
    when: ({ subject }) => subject.startsWith('TIOCSCTTY') && !leadsSession(),
    says: 'Only the leader of a session can take a controlling terminal, and this process leads none. Call setsid first, in this process.',
  },
  {
    calls: ['ioctl'],
    codes: ['EPERM'],
    when: ({ subject }) => subject.startsWith('TIOCSCTTY') && readStat('self')!.ttyNr !== 0,
    says: 'This session has a controlling terminal already. Begin another session (setsid, in a forked child), then take the terminal.',
  },
  {
    calls: ['ioctl'],
    codes: ['EPERM'],
    when: ({ subject }) => subject.startsWith('TIOCSCTTY'),
    says: 'The terminal is the controlling terminal of another session. Open a new pair, or let that session end.',
  },
  {
    calls: ['ioctl'],
    codes: ['ENOTTY', 'EIO'],
    when: ({ subject }) => /^TIOC(SPTLCK|GPTN|GPTPEER)/.test(subject),
    says: 'The descriptor is not the master of a pseudo-terminal. Open /dev/ptmx, or pts/ptmx of a devpts, and ask that descriptor.',
  },
  {
    calls: ['ioctl'],
    codes: ['ENOTTY', 'EINVAL'],
    says: ({ subject }) =>
      `${/fd \d+/.exec(subject)?.[0] ?? 'The descriptor'} is no terminal: a file, a pipe or a socket. Pass the slave, or the master, of a pseudo-terminal.`,
  },
  {
    calls: ['ioctl'],
    codes: ['EBADF'],
    says: 'The descriptor is not open here: it was closed before, or the call has the wrong number. Keep it open until the last call on it.',
  },
  {
    calls: ['open'],
    codes: ['EIO'],
    when: ({ subject }) => /\/pts\/\d+$|\/\d+$/.test(subject),
    says: 'The slave is locked until the master unlocks it. Call ioctl TIOCSPTLCK with a pointer to 0 on the master, then open the slave.',
  },
];

const leadsSession = (): boolean => readStat('self')!.session === readStat('self')!.pid;
