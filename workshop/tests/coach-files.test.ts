import { closeSync, openSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { checked, declare, pipe } from '../../chapters/01-processes/index.ts';
import { mount, MS, openInRoot } from '../../chapters/02-namespaces/index.ts';
import { makeWhiteout, openDirectory, setXattr } from '../../chapters/04-overlayfs/index.ts';
import { type Row, explains, dropAll, made, mappedUser } from './coach-support.ts';

const c_openat2 = declare<
  (nr: number, fd: number, path: string, how: BigUint64Array, size: number) => number
>('long syscall(long number, int dirfd, const char *path, const uint64_t *how, size_t size)');
const c_prctl = declare<(op: number, mode: number, filter: Buffer) => number>(
  'int prctl(int op, unsigned long mode, const uint8_t *filter)',
);
const c_mknod = declare<(path: string, mode: number, dev: number) => number>(
  'int mknod(const char *path, unsigned int mode, uint64_t dev)',
);

const openat2 = (folder: string, path: string, resolve: number, size = 24): number =>
  checked(
    'openat2',
    c_openat2(437, openDirectory(folder), path, new BigUint64Array([0n, 0n, BigInt(resolve), 1n]), size),
    JSON.stringify(path),
  );
const FILES: Row[] = [
  [
    'a device in a user namespace',
    ({ folder }) => (mappedUser(), checked('mknod', c_mknod(join(folder, 'd'), 0o20600, 259), 'd')),
    'Bind the host’s device file',
  ],
  [
    'a device without the capability',
    ({ folder }) => (dropAll(), checked('mknod', c_mknod(join(folder, 'd'), 0o20600, 259), 'd')),
    'needs CAP_MKNOD',
  ],
  ['a whiteout where something is', ({ folder }) => makeWhiteout(folder), 'Something is at'],
  ['a path that climbs', ({ folder }) => openat2(folder, '../x', 8), 'Use RESOLVE_IN_ROOT'],
  [
    'a link where none may be',
    ({ folder }) => {
      symlinkSync('/etc', join(folder, 'l'));
      openat2(folder, 'l', 4);
    },
    'a symbolic link where none may be',
  ],
  [
    'openat2 with a size that is wrong',
    ({ folder }) => openat2(folder, '.', 0, 8),
    'struct open_how (24 bytes)',
  ],
  [
    'a path that is missing in a root',
    ({ folder }) => openInRoot(openDirectory(folder), 'a', { flags: 0 }),
    'does not exist below the folder',
  ],
  [
    'a file taken for a directory',
    ({ folder }) => (made(join(folder, 'f')), openInRoot(openDirectory(folder), 'f/a', { flags: 0 })),
    'should be a directory is a file',
  ],
  [
    'a trusted attribute without the capability',
    ({ folder }) => (dropAll(), setXattr(folder, 'trusted.x', Buffer.from('y'))),
    'Attributes named trusted',
  ],
  [
    'an attribute without a prefix',
    ({ folder }) => setXattr(folder, 'x', Buffer.from('y')),
    'a name needs a prefix',
  ],
  [
    'a seccomp filter without no_new_privs',
    () => {
      dropAll();
      const filter = Buffer.alloc(16); // of one instruction, which is not even looked at
      filter.writeUInt16LE(1);
      checked('prctl', c_prctl(22, 2, filter), 'PR_SET_SECCOMP');
    },
    'Call prctl(PR_SET_NO_NEW_PRIVS, 1) first',
  ],
  [
    'a write to what is mounted read-only',
    ({ folder }) => {
      mount({ source: 'tmpfs', target: folder, type: 'tmpfs', flags: MS.RDONLY });
      writeFileSync(join(folder, 'f'), '');
    },
    'The file system is read-only here',
  ],
  [
    'a file in a folder that is missing',
    ({ folder }) => openSync(join(folder, 'a/b'), 'w'),
    'does not exist in the root that this process sees',
  ],
  ['a descriptor that is closed', () => writeSync(999, 'x'), 'it was closed before, in this process'],
  [
    'a pipe that nobody reads',
    () => {
      const { read, write: end } = pipe();
      closeSync(read);
      writeSync(end, 'x');
    },
    'Nobody has the reading end',
  ],
];

explains('files', FILES);
