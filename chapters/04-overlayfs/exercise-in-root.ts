import {
  closeSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { CannotCheck, expectSame, expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { openDirectory, openParent } from './in-root.ts';

const OPEN = 'const flags = O_PATH | constants.O_DIRECTORY;';
const MAKE = `const parent = openParent(root, parts.slice(0, -1), true)!;
try {
  mkdirSync(fsPath(fdPath(parent, parts.at(-1)!)), 0o755);
} catch (error) {
  throw isErrno(error, 'EEXIST') ? dangling() : error;
}`;

export const confined: Exercise = {
  gap: '04.5',
  task: 'Open the directory of an entry, and make it where it is missing, so that nothing outside the layer is reached.',
  hints: [
    'Do not look at the path: every check has a moment after it. Let the kernel walk, and tell it where the root is: openInRoot. What it gives is held, and nobody can put a link in its way.',
    'ENOENT: nothing there, or a link to nothing inside. The parent can be opened the same way, by openParent itself; in it mkdir by the name alone. openat2(2), mkdir(2).',
    'openInRoot(root, path, { flags: O_PATH | O_DIRECTORY }); ENOTDIR is dangling(); ENOENT and not make: undefined. Else parent = openParent(root, parts but the last, true); mkdirSync(fsPath(fdPath(parent, last))), EEXIST is dangling(); close parent in finally; openInRoot again.',
  ],
  check: checkOpenParent,
  wrong: [
    {
      mistake: 'looks for .. in the path',
      code: `if (parts.includes('..')) return undefined;
const place = fdPath(root, parts.join('/'));
if (make) mkdirSync(place, { recursive: true });
try {
  return openSync(place, constants.O_RDONLY | constants.O_DIRECTORY);
} catch {
  return undefined;
}`,
      diagnosis: 'symbolic link',
    },
    {
      mistake: 'makes the whole path at once',
      code: `${OPEN}
if (make) mkdirSync(fdPath(root, parts.join('/')), { recursive: true });
try {
  return openInRoot(root, path, { flags });
} catch (error) {
  if (isErrno(error, 'ENOENT')) return undefined;
  throw isErrno(error, 'ENOTDIR') ? dangling() : error;
}`,
      diagnosis: 'mkdir(2) walks',
    },
    {
      mistake: 'refuses every link',
      code: `${OPEN}
try {
  return openInRoot(root, path, { flags, noSymlinks: true });
} catch (error) {
  if (isErrno(error, 'ENOTDIR')) throw dangling();
  if (!isErrno(error, 'ENOENT')) throw error;
  if (!make) return undefined;
}
${MAKE} finally {
  closeSync(parent);
}
return openInRoot(root, path, { flags, noSymlinks: true });`,
      diagnosis: 'links are usual',
    },
    {
      mistake: 'makes what is not to be made',
      code: `${OPEN}
try {
  return openInRoot(root, path, { flags });
} catch (error) {
  if (isErrno(error, 'ENOTDIR')) throw dangling();
  if (!isErrno(error, 'ENOENT')) throw error;
}
${MAKE} finally {
  closeSync(parent);
}
return openInRoot(root, path, { flags });`,
      diagnosis: '`make`',
    },
    {
      mistake: 'keeps the parent open',
      code: `${OPEN}
try {
  return openInRoot(root, path, { flags });
} catch (error) {
  if (isErrno(error, 'ENOTDIR')) throw dangling();
  if (!isErrno(error, 'ENOENT')) throw error;
  if (!make) return undefined;
}
${MAKE}
return openInRoot(root, path, { flags });`,
      diagnosis: 'Close the parent',
    },
  ],
};

function checkOpenParent(t: Trial): void {
  const [root, outside] = [t.folder(), t.folder()];
  const [inside, file, missing, fresh, below] = [t.word(), t.word(), t.word(), t.word(), t.word()];
  mkdirSync(join(outside, inside));
  mkdirSync(join(root, 'etc'));
  mkdirSync(join(root, 'etc', inside));
  writeFileSync(join(root, file), '');
  symlinkSync(outside, join(root, 'out'));
  symlinkSync('/etc', join(root, 'absolute'));
  const behind = readdirSync(join(root, 'out'));
  expectSame('what open(2) finds behind the link', [inside], behind, '');
  const fd = openDirectory(root);
  t.cleanup(() => closeSync(fd));
  /** Where an opened directory really lies, or why it was not opened. */
  const open = (parts: string[], make = false): string => {
    let opened: number | undefined;
    try {
      opened = openParent(fd, parts, make);
    } catch (error) {
      if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
      return String((error as { code?: unknown }).code);
    }
    if (opened === undefined) return 'undefined';
    try {
      return readlinkSync(`/proc/self/fd/${opened}`);
    } finally {
      closeSync(opened);
    }
  };
  const plain = open(['etc']);
  if (plain === 'ENOSYS')
    throw new CannotCheck(
      'this kernel has no openat2(2)',
      'use Linux 5.6 or newer: the virtual machine in vagrant/',
    );
  expectSame('a plain path', join(root, 'etc'), plain, 'It lies in the root, and should be opened.');
  expectSame('the root itself', root, open([]), 'No parts: the directory is the root.');
  expectSame(
    'opening what is missing',
    'undefined',
    open([missing, below]),
    'Without `make`, it is undefined.',
  );
  expectThat(
    !existsSync(join(root, missing)),
    'nothing made',
    `${missing} was made`,
    'Only with `make` a missing directory is made.',
  );
  const escaped = 'A symbolic link or .. led outside. Only the kernel knows where a path ends: openInRoot.';
  const absolute = open(['absolute', inside]);
  expectSame(
    'a link to /etc, followed inside',
    join(root, 'etc', inside),
    absolute,
    absolute === 'ELOOP' ? 'In a layer absolute links are usual: they are followed, inside.' : escaped,
  );
  expectSame(`opening out/${inside}`, 'undefined', open(['out', inside]), escaped);
  const above = ['..', basename(outside), inside];
  expectSame(`opening ${above.join('/')}`, 'undefined', open(above), escaped);
  const refused = open(['out', fresh], true);
  expectSame(
    'the directory that the link leads to',
    [inside],
    readdirSync(outside),
    'mkdir(2) walks the path it is given, out of the root. Give it one name, in a directory that is held.',
  );
  const held = readdirSync('/proc/self/fd').length;
  expectSame(
    'making a directory in a missing one',
    join(root, 'etc', fresh, below),
    open(['absolute', fresh, below], true),
    'With `make`, every missing directory is made, the highest first.',
  );
  expectSame(
    'descriptors left open',
    0,
    readdirSync('/proc/self/fd').length - held,
    'A layer has thousands of entries. Close the parent, whatever happens (finally).',
  );
  expectSame('making below a link to nothing', 'INVALID_ARGUMENT', refused, 'It is refused: dangling().');
  expectSame(
    'making below a file',
    'INVALID_ARGUMENT',
    open([file, fresh], true),
    'A file is in the way (ENOTDIR): dangling().',
  );
}
