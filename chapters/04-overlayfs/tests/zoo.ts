import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { decodeName, fsPath, getXattr, listXattrs, readNames, setXattr } from '../index.ts';

/** `cap_net_raw=ep`, as the kernel keeps it: bytes that are no text. */
export const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');

/** A name that is no UTF-8: Latin-1's é, a byte that begins nothing, and half of a longer character. */
export const ODD = decodeName(Buffer.from('caf\xe9-\xff-\xe2\x82', 'latin1'));

/** Makes a tree in which there is one of everything that a layer has to keep. */
export function makeZoo(dir: string): void {
  const at = (...names: string[]): string => join(dir, ...names);
  const write = (name: string, text: string): void => writeFileSync(fsPath(at(name)), text);
  mkdirSync(at('deep'));
  mkdirSync(fsPath(at(ODD)));
  write(`${ODD}/${ODD}`, 'odd');
  write('plain', 'plain');
  write('deep/empty', '');
  write('grüße-ключ-鍵-🔑', 'UTF-8');
  write('a name with spaces, = and "quotes"\n', 'x');
  const long = 'deep/'.concat('l'.repeat(255));
  write(long, 'a name as long as a name can be');
  let far = 'far';
  for (let i = 0; i < 12; i++) far += `/${'directory'.repeat(4)}-${i}`;
  mkdirSync(at(far), { recursive: true });
  write(`${far}/end`, 'a path longer than 400 bytes');

  write('setuid', '#!');
  chownSync(at('setuid'), 12, 34);
  chmodSync(at('setuid'), 0o6755);
  write('nobody-may', 'secret');
  chmodSync(at('nobody-may'), 0);
  write('large-ids', '');
  chownSync(at('large-ids'), 4_000_000_000, 3_000_000_000);
  mkdirSync(at('sticky'));
  chmodSync(at('sticky'), 0o1777);
  write('ping', 'program');
  setXattr(at('ping'), 'security.capability', CAPABILITY);
  setXattr(at('plain'), 'user.bytes', Buffer.from([0, 0xff, 0x0a, 0x3d, 0x80]));
  setXattr(at('deep'), 'user.of-a-directory', Buffer.from('é'));

  linkSync(at('plain'), at('deep/hard'));
  linkSync(fsPath(at(ODD, ODD)), fsPath(at(`hard-${ODD}`)));
  symlinkSync('../nowhere', at('soft'));
  symlinkSync(fsPath(`/${ODD}`), fsPath(at(`soft-${ODD}`)));
  symlinkSync('t'.repeat(300), at('long-target'));
  execFileSync('mknod', [at('null'), 'c', '1', '3']);
  execFileSync('mknod', [at('disk'), 'b', '259', '70000']);
  execFileSync('mkfifo', [at('pipe')]);
  const fd = openSync(at('holes'), 'w');
  writeSync(fd, 'begin', 0);
  writeSync(fd, 'middle', 3_000_001);
  ftruncateSync(fd, 4_000_003);
  closeSync(fd);

  execFileSync('touch', ['-d', '@1600000000.123456789', at('plain'), at('deep'), at('setuid')]);
  execFileSync('touch', ['-h', '-d', '@1500000000.000000001', at('soft')]);
  utimesSync(at('large-ids'), -100, -100);
  lutimesSync(at('long-target'), 2 ** 33, 2 ** 33);
}

/** One line for each thing in a tree: all that a layer has to keep of it. `room` compares what files take on the disk, too. */
export function describeTree(dir: string, { room = false } = {}): string[] {
  const lines: string[] = [];
  const first = new Map<bigint, string>();
  const visit = (path: string, name: string): void => {
    const stat = lstatSync(fsPath(path), { bigint: true });
    const other = stat.isDirectory() ? undefined : first.get(stat.ino);
    first.set(stat.ino, other ?? name);
    const content = stat.isFile()
      ? createHash('sha256')
          .update(readFileSync(fsPath(path)))
          .digest('hex')
      : stat.isSymbolicLink()
        ? decodeName(readlinkSync(fsPath(path), { encoding: 'buffer' }))
        : '';
    const xattrs = listXattrs(path).map((key) => `${key}=${getXattr(path, key)!.toString('hex')}`);
    lines.push(
      JSON.stringify([
        name,
        stat.mode.toString(8),
        `${stat.uid}:${stat.gid}`,
        String(stat.rdev),
        String(stat.mtimeNs),
        stat.isDirectory() ? '' : String(stat.size),
        other ?? '',
        content,
        ...(room && stat.isFile() ? [String(stat.blocks)] : []),
        ...xattrs,
      ]),
    );
    if (stat.isDirectory())
      for (const base of readNames(path)) visit(join(path, base), name === '' ? base : `${name}/${base}`);
  };
  for (const base of readNames(dir)) visit(join(dir, base), base);
  return lines;
}
