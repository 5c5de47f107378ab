import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLONE, mount, MS, umount, unshare } from '../../chapters/02-namespaces/index.ts';
import { type Row, explains, dropAll, made, mappedUser, tmpfs } from './coach-support.ts';

const MOUNTS: Row[] = [
  ['mount without the capability', ({ folder }) => (dropAll(), tmpfs(folder)), 'need CAP_SYS_ADMIN'],
  [
    'mount in a user namespace without a mount namespace',
    ({ folder }) => (unshare(CLONE.NEWUSER), tmpfs(folder)),
    'CLONE_NEWNS together with CLONE_NEWUSER',
  ],
  [
    'proc in a user namespace with the host’s pid namespace',
    ({ folder }) => {
      mappedUser(CLONE.NEWNS);
      mount({ source: 'proc', target: folder, type: 'proc' });
    },
    'only where the pid namespace belongs to it',
  ],
  [
    'mount on nothing',
    ({ folder }) => mount({ source: 'tmpfs', target: join(folder, 'a/b'), type: 'tmpfs' }),
    'The mount point does not exist',
  ],
  [
    'bind from nothing',
    ({ folder }) => mount({ source: join(folder, 'a'), target: folder, flags: MS.BIND }),
    'The source of the mount does not exist',
  ],
  [
    'overlay with a lower directory that is missing',
    ({ folder }) =>
      mount({ source: 'overlay', target: folder, type: 'overlay', data: `lowerdir=${folder}/a:${folder}/b` }),
    'One of the directories in the options',
  ],
  [
    'overlay with an upper but no work directory',
    ({ folder }) => {
      tmpfs(folder);
      for (const name of ['l', 'u', 'm']) mkdirSync(join(folder, name));
      mount({
        source: 'overlay',
        target: join(folder, 'm'),
        type: 'overlay',
        data: `lowerdir=${folder}/l,upperdir=${folder}/u`,
      });
    },
    'an upperdir needs a workdir',
  ],
  [
    'a directory bound on a file',
    ({ folder }) => mount({ source: folder, target: made(join(folder, 'f')), flags: MS.BIND }),
    'the mount point is a file',
  ],
  [
    'a file bound on a directory',
    ({ folder }) => mount({ source: made(join(folder, 'f')), target: folder, flags: MS.BIND }),
    'the mount point is a directory',
  ],
  [
    'a file system mounted on a file',
    ({ folder }) => mount({ source: 'tmpfs', target: made(join(folder, 'f')), type: 'tmpfs' }),
    'can be mounted only on a directory',
  ],
  [
    'a file system that the kernel lacks',
    ({ folder, word }) => mount({ target: folder, type: word }),
    'no file system of this type',
  ],
  [
    'a directory given to a file system of disks',
    ({ folder }) => {
      const disk = readFileSync('/proc/filesystems', 'utf8')
        .split('\n')
        .find((line) => line.startsWith('\t'))!
        .trim();
      mount({ source: folder, target: folder, type: disk });
    },
    'lies on a block device',
  ],
  [
    'remount read-only while a file is open',
    ({ folder }) => {
      tmpfs(folder);
      openSync(join(folder, 'f'), 'w');
      mount({ target: folder, flags: MS.REMOUNT | MS.RDONLY });
    },
    'while a file in it is open for writing (process ',
  ],
  [
    'propagation of what is no mount',
    ({ folder }) => mount({ target: folder, flags: MS.PRIVATE }),
    'is no mount point, and only a mount can be remounted',
  ],
  [
    'a bind of an unbindable mount',
    ({ folder }) => {
      tmpfs(folder);
      mount({ target: folder, flags: MS.UNBINDABLE });
      mount({ source: folder, target: folder, flags: MS.BIND });
    },
    'lies on a mount that is unbindable',
  ],
  [
    'a bind without MS_BIND',
    ({ folder }) => mount({ source: folder, target: folder }),
    'neither a type nor MS_BIND',
  ],
  [
    'an option that the file system does not know',
    ({ folder, word }) => mount({ source: 'tmpfs', target: folder, type: 'tmpfs', data: word }),
    'tmpfs does not know one of its options',
  ],
  ['umount of nothing', ({ folder }) => umount(join(folder, 'a')), 'nothing is mounted there'],
  ['umount of what is no mount', ({ folder }) => umount(folder), 'is no mount point in this mount namespace'],
  [
    'umount of a mount that is locked',
    ({ folder }) => {
      tmpfs(folder);
      unshare(CLONE.NEWUSER | CLONE.NEWNS);
      umount(folder);
    },
    'more privileged mount namespace and is locked',
  ],
  [
    'umount with a mount below',
    ({ folder }) => {
      tmpfs(join(tmpfs(folder), 'a'));
      umount(folder);
    },
    'There are mounts below',
  ],
  [
    'umount with an open file',
    ({ folder }) => {
      openSync(join(tmpfs(folder), 'f'), 'w');
      umount(folder);
    },
    'has a file in it open',
  ],
];

explains('mounts', MOUNTS);
