import { demo, type Step } from '../01-processes/index.ts';
import { pinned } from './demo-doors.ts';
import { allEight, cgroupTop, clocks, names, processOne, queues, together } from './demo-kinds.ts';
import { attack, ownRoot, propagation } from './demo-mounts.ts';
import { network } from './demo-network.ts';
import { personWithoutRoot, rootless } from './demo-users.ts';

/** What is shown, in order: title, why, and the steps' own files, demo-*.ts. */
const STEPS: readonly (readonly [title: string, why: string, run: (step: Step) => void])[] = [
  ['Without isolation', 'A child sees what its parent sees: it is in the same namespaces.', together],
  [
    'A host name of its own',
    'unshare(2) puts the caller into a new namespace of one kind. UTS is the smallest: two names.',
    names,
  ],
  [
    'Process 1',
    'A pid namespace counts from 1 again, and its first process is its init. Outside the process has an ordinary number.',
    processOne,
  ],
  [
    'All eight at once',
    'clone(2) takes the flags too: the child is in the new namespaces from its first instruction.',
    allEight,
  ],
  [
    'Memory and queues that have no path',
    'Some objects are found by a number or a name that is the kernel’s own. An ipc namespace has its own set of them.',
    queues,
  ],
  [
    'Two clocks',
    'A time namespace shifts the clocks that count from boot, for processes yet to be born. The date is everybody’s.',
    clocks,
  ],
  [
    'The top of the cgroup tree',
    'A cgroup namespace hides where in the tree one is: the group that one is in becomes the top.',
    cgroupTop,
  ],
  [
    'A door that stays',
    'A namespace lives while a process is in it, a descriptor is open on it, or its file is bound elsewhere.',
    pinned,
  ],
  [
    'What reaches whom',
    'A copy of a mount may go on hearing of what is mounted on the original. Four words say who tells whom.',
    propagation,
  ],
  [
    'A file system of its own',
    'A mount namespace is a list of mounts. pivot_root(2) changes its root; then the old one is taken away.',
    ownRoot,
  ],
  [
    'Root inside, nobody outside',
    'A user namespace maps ids: 0 inside is an ordinary id outside, and its rights end at the border.',
    rootless,
  ],
  [
    'A container without root',
    'A user namespace needs no rights, and whoever makes one is root in it: enough to make the others.',
    personWithoutRoot,
  ],
  [
    'Two networks and a bridge',
    'A new network namespace has nothing but a loopback that is down. A veth pair is a cable, a bridge a switch.',
    network,
  ],
  [
    'Attack: out of chroot',
    'chroot(2) changes where / is. It takes nothing away, and root walks out.',
    attack,
  ],
];

await demo('02 namespaces: what a process can see', async (d) => {
  for (const [title, why, run] of STEPS) await d.step(title, { why, run });
});
