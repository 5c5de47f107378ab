import { existsSync } from 'node:fs';
import { guestWords, type Machine } from './machine.ts';

/**
 * User-mode-linux: a Linux kernel that is an ordinary program. It boots in seconds and sees the host's files through hostfs. One processor.
 * Debian's has the controllers cpu, io, memory and pids of cgroup v2.
 */
export const uml: Machine = {
  name: 'user-mode-linux',
  missing: () => (existsSync('/usr/bin/linux.uml') ? undefined : 'user-mode-linux'),
  // Its nf_tables knows no IPv4, so the engine's bridge gets no way to the world.
  environment: { MYDOCKER_IPTABLES: 'false' },
  command: (boot) => [
    // Where it keeps memory and its own files: sandbox.sh made this place for it, and it goes with the sandbox.
    'env',
    'TMPDIR=/dev/shm',
    'HOME=/dev/shm',
    'linux.uml',
    'mem=2G',
    `ubd0=${boot.work}/disk`,
    `ubd1=${boot.work}/reports`,
    'root=/dev/root',
    'rootfstype=hostfs',
    'rootflags=/',
    'ro',
    `init=${boot.checkout}/vagrant/guest-init.sh`,
    // The console is this program's standard output, and nothing is typed.
    'con=null',
    'con0=null,fd:1',
    'quiet',
    'panic=-1',
    ...guestWords(boot, uml.name, '/dev/ubda', '/dev/ubdb'),
    ...boot.kernel,
  ],
};
