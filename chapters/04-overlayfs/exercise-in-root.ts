import {
  closeSync,
  constants,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { CannotCheck, expectSame, expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { openDirectory, openInRoot } from './in-root.ts';

export const confined: Exercise = {
  gap: '04.5',
  task: 'Open a path so that nothing outside a directory can be reached.',
  hints: [
    'Do not look at the path: every check has a moment after it. Tell the kernel where the root is, and let it walk.',
    'openat2(2): struct open_how is three 64-bit numbers (flags, mode, resolve). Which RESOLVE_ flag treats the directory as "/"?',
    'how = new BigUint64Array([flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS]); c_openat2(SYS_openat2, root, path, how, how.byteLength), through checked; again on EAGAIN.',
  ],
  check: checkInRoot,
  wrong: [
    {
      mistake: 'looks for .. in the path',
      code: `if (path.split('/').includes('..')) throw invalidArgument('climbs out');
return openSync(inDirectory(root, path), flags);`,
      diagnosis: 'symbolic link',
    },
    {
      mistake: 'calls openat2 without a resolve flag',
      code: `const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, 0n]);
return checked('openat2', c_openat2(SYS_openat2, root, path, how, how.byteLength), path);`,
      diagnosis: 'RESOLVE_IN_ROOT',
    },
    {
      mistake: 'uses RESOLVE_BENEATH',
      code: `const how = new BigUint64Array([BigInt(flags | O_CLOEXEC), 0n, 8n]);
return checked('openat2', c_openat2(SYS_openat2, root, path, how, how.byteLength), path);`,
      diagnosis: 'RESOLVE_BENEATH',
    },
    {
      mistake: 'forgets O_CLOEXEC',
      code: `const how = new BigUint64Array([BigInt(flags), 0n, BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)]);
return checked('openat2', c_openat2(SYS_openat2, root, path, how, how.byteLength), path);`,
      diagnosis: 'O_CLOEXEC',
    },
  ],
};

function checkInRoot(t: Trial): void {
  const [root, outside] = [t.folder(), t.folder()];
  const [victim, inside, text] = [t.word(), t.word(), t.word()];
  writeFileSync(join(outside, victim), 'outside');
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc', inside), text);
  symlinkSync(outside, join(root, 'out'));
  symlinkSync('/etc', join(root, 'absolute'));
  const followed = readFileSync(join(root, 'out', victim), 'utf8');
  expectSame('what open(2) finds behind the link', 'outside', followed, '');
  const fd = openDirectory(root);
  t.cleanup(() => closeSync(fd));
  /** Where an opened path really lies, or why it was not opened. */
  const open = (path: string): { at: string; cloexec: boolean } => {
    let opened: number;
    try {
      opened = openInRoot(fd, path, constants.O_RDONLY);
    } catch (error) {
      if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
      return { at: String((error as { code?: unknown }).code), cloexec: true };
    }
    try {
      const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${opened}`, 'utf8'))?.[1];
      return {
        at: readlinkSync(`/proc/self/fd/${opened}`),
        cloexec: (parseInt(flags ?? '0', 8) & 0o2000000) !== 0,
      };
    } finally {
      closeSync(opened);
    }
  };
  const plain = open(`etc/${inside}`);
  if (plain.at === 'ENOSYS')
    throw new CannotCheck(
      'this kernel has no openat2(2)',
      'use Linux 5.6 or newer: the virtual machine in vagrant/',
    );
  expectSame(
    'a plain path',
    join(root, 'etc', inside),
    plain.at,
    'It lies in the root, and should be opened.',
  );
  const beneath =
    'RESOLVE_BENEATH refuses what leads out. In a layer absolute links are usual: RESOLVE_IN_ROOT.';
  for (const path of [`out/${victim}`, `../${basename(outside)}/${victim}`, `${outside}/${victim}`]) {
    const { at } = open(path);
    const cause =
      at === 'EXDEV'
        ? beneath
        : 'A symbolic link or .. led outside. Only the kernel knows where a path ends: give it RESOLVE_IN_ROOT.';
    expectSame(`opening ${path}`, 'ENOENT', at, cause);
  }
  const absolute = open(`absolute/${inside}`).at;
  expectSame(
    'a link to /etc, followed inside',
    join(root, 'etc', inside),
    absolute,
    absolute === 'EXDEV' ? beneath : 'An absolute link begins at the root that was given.',
  );
  expectThat(
    plain.cloexec,
    'a descriptor that closes on exec',
    'one that programs inherit',
    'A handle of the host would leak into the container: O_CLOEXEC.',
  );
}
