import {
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  constants,
} from 'node:fs';
import { join } from 'node:path';
import {
  expectSame,
  expectThat,
  inChild,
  isErrno,
  readMountinfo,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { CLONE, mount, MS, O_PATH, unshare } from '../02-namespaces/index.ts';
import { answer } from './exercise-support.ts';
import { maskPath } from './rootfs.ts';

export const masking: Exercise = {
  gap: '05.2',
  task: 'Hide a path of the container: a file behind /dev/null, a directory behind an empty tmpfs.',
  hints: [
    'A mount covers what lies below it. It has to be of the same kind: a file covers a file, a directory a directory.',
    'openInRootIfThere gives a descriptor of the place, found inside the root, or undefined; fdPath(fd) is a path that reaches it without walking. attach(tree, target) mounts what openNull gives.',
    'undefined: return. using(target, …): a directory gets mount({ type: "tmpfs", target: fdPath(target), flags: MS.RDONLY, … }); else using(openNull(), (nothing) => attach(nothing, target)).',
  ],
  check: checkMaskPath,
  wrong: [
    {
      mistake: 'covers directories with /dev/null too',
      code: `const target = openInRootIfThere(rootFd, path);
if (target === undefined) return;
using(target, () => using(openNull(), (nothing) => attach(nothing, target)));`,
      diagnosis: 'ENOTDIR',
    },
    {
      mistake: 'leaves the tmpfs writable',
      code: `const target = openInRootIfThere(rootFd, path);
if (target === undefined) return;
using(target, () => {
  if (statSync(fdPath(target)).isDirectory())
    mount({ source: 'tmpfs', target: fdPath(target), type: 'tmpfs' });
  else using(openNull(), (nothing) => attach(nothing, target));
});`,
      diagnosis: 'MS.RDONLY',
    },
    {
      mistake: 'goes by the path, links and all',
      code: `const target = \`\${fdPath(rootFd)}/\${path}\`;
let isDirectory: boolean;
try {
  isDirectory = statSync(target).isDirectory();
} catch {
  return;
}
if (isDirectory) mount({ source: 'tmpfs', target, type: 'tmpfs', flags: MS.RDONLY });
else mount({ source: '/dev/null', target, flags: MS.BIND });`,
      diagnosis: 'a link of the image',
    },
    {
      mistake: 'fails for what is not there',
      code: `const target = openInRootIfThere(rootFd, path);
if (target === undefined) throw new Error(\`\${path} is not there\`);
using(target, () => {
  if (statSync(fdPath(target)).isDirectory())
    mount({ source: 'tmpfs', target: fdPath(target), type: 'tmpfs', flags: MS.RDONLY });
  else using(openNull(), (nothing) => attach(nothing, target));
});`,
      diagnosis: 'needs no hiding',
    },
    {
      mistake: 'leaves its descriptors open',
      code: `const target = openInRootIfThere(rootFd, path);
if (target === undefined) return;
if (statSync(fdPath(target)).isDirectory())
  mount({ source: 'tmpfs', target: fdPath(target), type: 'tmpfs', flags: MS.RDONLY });
else attach(openNull(), target);`,
      diagnosis: 'below the mount',
    },
  ],
};

const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

function checkMaskPath(t: Trial): void {
  const [root, outside] = [t.folder(), t.folder()];
  const [file, dir, link, victim, missing] = [t.word(), t.word(), t.word(), t.word(), t.word()];
  const secret = t.word();
  writeFileSync(join(root, file), secret);
  mkdirSync(join(root, dir));
  writeFileSync(join(root, dir, file), secret);
  writeFileSync(join(outside, victim), 'of the host');
  symlinkSync(join(outside, victim), join(root, link));
  const { result, pid } = inChild(t, () => {
    unshare(CLONE.NEWNS);
    mount({ target: '/', flags: MS.REC | MS.PRIVATE });
    const fd = openSync(root, O_PATH | constants.O_DIRECTORY);
    const held = openDescriptors();
    const errors: Record<string, string> = {};
    for (const path of [`/${file}`, `/${dir}`, `/${link}`, `/${missing}/${file}`])
      try {
        maskPath(fd, path);
      } catch (error) {
        errors[path] = answer(error).message;
      }
    return { errors, leaked: openDescriptors() - held };
  });
  const inside = (path: string): string => `/proc/${pid}/root${path}`;
  const error = (path: string): string => result.errors[path] ?? 'no error';
  expectSame('hiding a file', 'no error', error(`/${file}`), 'Attach what openNull gives to the file.');
  const device = statSync(inside(join(root, file)));
  expectThat(
    device.isCharacterDevice() && readFileSync(inside(join(root, file)), 'utf8') === '',
    'the null device in the file’s place',
    readFileSync(inside(join(root, file)), 'utf8'),
    'The file can still be read: attach what openNull gives to it.',
  );
  expectSame(
    'hiding a directory',
    'no error',
    error(`/${dir}`),
    'ENOTDIR: a file can cover a file only. A directory is hidden behind an empty tmpfs.',
  );
  const names = readdirSync(inside(join(root, dir)));
  expectSame('what is seen in the directory', [], names, 'The directory needs an empty tmpfs on top.');
  const covering = readMountinfo(pid)!.find(({ mountPoint }) => mountPoint === join(root, dir));
  expectThat(
    writing(inside(join(root, dir, t.word()))) === 'EROFS',
    'EROFS on writing there',
    `a mount ${covering?.type ?? 'of nothing'} that can be written`,
    'Container programs would find a place where nobody looks: mount it with MS.RDONLY.',
  );
  expectSame(
    'a file of the host, to which the image has a link',
    'of the host',
    readFileSync(inside(join(outside, victim)), 'utf8'),
    'You were led out of the root by a link of the image, and covered a file of the host. Find the place with openInRootIfThere.',
  );
  const absent = error(`/${missing}/${file}`);
  expectSame('hiding what is not there', 'no error', absent, 'What is not there needs no hiding.');
  expectSame(
    'descriptors left open',
    0,
    result.leaked,
    'A descriptor still leads to what lies below the mount: close it (using).',
  );
  expectSame('the same file on the host', secret, readFileSync(join(root, file), 'utf8'), 'Mount it only.');
}

/** What the kernel says to a new file there. */
function writing(path: string): string {
  try {
    writeFileSync(path, '');
    return 'written';
  } catch (error) {
    return isErrno(error, 'EROFS') ? 'EROFS' : String(error);
  }
}
