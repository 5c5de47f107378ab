import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chroot, mount, MS, pivotRoot } from '../../chapters/02-namespaces/index.ts';
import { type Row, explains, dropAll, made, tmpfs } from './coach-support.ts';

const folderIn = (folder: string, name: string): string => {
  mkdirSync(join(folder, name));
  return join(folder, name);
};

const ROOTS: Row[] = [
  [
    'pivot_root without the capability',
    ({ folder }) => (dropAll(), pivotRoot(folder, folder)),
    'pivot_root needs CAP_SYS_ADMIN',
  ],
  [
    'chroot without the capability',
    ({ folder }) => (dropAll(), chroot(folder)),
    'chroot needs CAP_SYS_CHROOT',
  ],
  ['chroot to nothing', ({ folder }) => chroot(join(folder, 'a')), 'The new root does not exist'],
  [
    'chroot to a file',
    ({ folder }) => chroot(made(join(folder, 'f'))),
    'is no directory, and a root must be one',
  ],
  [
    'pivot_root on shared mounts',
    ({ folder }) => {
      mount({ target: '/', flags: MS.SHARED | MS.REC });
      tmpfs(folder);
      pivotRoot(folder, folder);
    },
    'MS_REC | MS_PRIVATE',
  ],
  [
    'pivot_root to what is no mount point',
    ({ folder }) => pivotRoot(folder, folder),
    'is no mount point: pivot_root swaps mounts',
  ],
  [
    'pivot_root with the old root on the root mount',
    ({ folder }) => pivotRoot(tmpfs(join(folder, 'a')), folderIn(folder, 'b')),
    'lies on the mount that is the root now',
  ],
  [
    'pivot_root with the old root elsewhere',
    ({ folder }) => pivotRoot(tmpfs(join(folder, 'a')), tmpfs(join(folder, 'b'))),
    'is not at or below the new root',
  ],
];

explains('roots', ROOTS);
