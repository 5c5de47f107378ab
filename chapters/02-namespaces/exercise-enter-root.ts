import { mkdirSync, readdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  expectSame,
  expectThat,
  inChild,
  isErrno,
  readMountinfo,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { mount, MS, umount, MNT } from './mount.ts';
import { CLONE, namespacePath, setns, unshare } from './namespaces.ts';
import { enterRoot } from './pivot-root.ts';

export const enteringRoot: Exercise = {
  gap: '02.3',
  task: 'Give this mount namespace a new root, and take the old one away.',
  hints: [
    'pivot_root(2) swaps two mounts: the new root must be a mount point, and neither may be shared.',
    'The section "pivot_root(".", ".")" of the manual shows how it is done without a directory for the old root: both lie in one place, the old one on top.',
    'mount / private, recursively; bind newRoot onto itself; open "/"; chdir(newRoot); pivotRoot(".", "."); fchdir(the old root); umount(".", MNT.DETACH); chdir("/").',
  ],
  check: checkEnterRoot,
  wrong: [
    {
      mistake: 'forgets MS_PRIVATE',
      code: `mount({ source: newRoot, target: newRoot, flags: MS.BIND | MS.REC });
const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
process.chdir(newRoot);
pivotRoot('.', '.');
fchdir(oldRoot);
umount('.', MNT.DETACH);
process.chdir('/');
closeSync(oldRoot);`,
      diagnosis: 'MS_PRIVATE',
    },
    {
      mistake: 'leaves the old root mounted',
      code: `mount({ target: '/', flags: MS.REC | MS.PRIVATE });
mount({ source: newRoot, target: newRoot, flags: MS.BIND | MS.REC });
process.chdir(newRoot);
pivotRoot('.', '.');
process.chdir('/');`,
      diagnosis: 'still mounted',
    },
    {
      mistake: 'uses chroot',
      code: `mount({ target: '/', flags: MS.REC | MS.PRIVATE });
mount({ source: newRoot, target: newRoot, flags: MS.BIND | MS.REC });
chroot(newRoot);
process.chdir('/');`,
      diagnosis: 'chroot',
    },
    {
      mistake: 'does not make the new root a mount point',
      code: `mount({ target: '/', flags: MS.REC | MS.PRIVATE });
const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
process.chdir(newRoot);
pivotRoot('.', '.');
fchdir(oldRoot);
umount('.', MNT.DETACH);
process.chdir('/');
closeSync(oldRoot);`,
      diagnosis: 'mount point',
    },
  ],
};

function checkEnterRoot(t: Trial): void {
  const root = t.folder();
  const word = t.word();
  writeFileSync(join(root, word), '');
  mkdirSync(join(root, 'proc'));
  // A shared mount below, as systemd's are: what happens in the new namespace must not reach it.
  const shared = t.folder();
  mount({ source: shared, target: shared, flags: MS.BIND });
  t.cleanup(() => umount(shared, MNT.DETACH));
  mount({ target: '/', flags: MS.REC | MS.SHARED });
  const before = mountPoints();
  let child;
  try {
    child = inChild(t, () => {
      unshare(CLONE.NEWNS);
      enterRoot(root);
      mount({ source: 'proc', target: '/proc', type: 'proc' });
      return { root: readdirSync('/').sort(), cwd: process.cwd() };
    });
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    const shares = !mountinfoOfShared(root) && isErrno(error, 'EINVAL', 'EBUSY');
    const privateFirst = /pivot_root/.test(error.message) && before.length !== mountPoints().length;
    const cause = privateFirst
      ? 'pivot_root refuses a shared mount, and your bind mount reached the host: make everything private first (MS_REC | MS_PRIVATE).'
      : shares || /pivot_root/.test(error.message)
        ? 'pivot_root says EINVAL or EBUSY when the new root is no mount point of its own: bind it onto itself.'
        : 'See pivot_root(2) for this error.';
    throw new Wrong({ expected: 'the root to be changed', observed: error.message, cause });
  }
  expectSame(
    'what lies in the new root',
    [word, 'proc'].sort(),
    child.result.root,
    'The root is not the directory that was given.',
  );
  const mounts = readMountinfo(child.pid)!.map((m) => m.mountPoint);
  const outside = mounts.filter((path) => !['/', '/proc'].includes(path));
  expectSame(
    'mounts that can be reached',
    [],
    outside,
    'The old root is still mounted, and reachable: unmount it with MNT_DETACH.',
  );
  expectThat(
    mounts.filter((path) => path === '/').length === 1,
    'one mount at /',
    `${mounts.filter((p) => p === '/').length}`,
    'The old root is still mounted, on top of the new one: umount(".", MNT.DETACH).',
  );
  expectSame(
    'what lies at the root of the mount namespace',
    child.result.root,
    rootOfNamespace(t, child.pid),
    'chroot changes what "/" means for one process and leaves every mount where it is: whoever joins the namespace sees the host. pivot_root changes the namespace.',
  );
  expectSame(
    'the host’s mounts',
    before,
    mountPoints(),
    'Your mounts reached the host: make everything private first (MS_REC | MS_PRIVATE).',
  );
}

const mountPoints = (): string[] => readMountinfo('self')!.map((m) => m.mountPoint);

const mountinfoOfShared = (path: string): boolean =>
  readMountinfo('self')!.some((m) => m.mountPoint === path);

/** What lies at the root of a mount namespace for someone who joins it: setns leaves every chroot behind. */
function rootOfNamespace(t: Trial, pid: number): string[] {
  const join = (): string[] => {
    const fd = openSync(namespacePath(pid, 'mnt'), 'r');
    setns(fd, CLONE.NEWNS);
    return readdirSync('/').sort();
  };
  return inChild(t, join).result;
}
