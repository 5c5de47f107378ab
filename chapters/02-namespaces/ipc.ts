import { readFileSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { c_mq_open, c_mq_unlink, c_msgctl, c_msgget, c_shmctl, c_shmget } from './syscalls.ts';

// What an ipc namespace holds: objects that have no path, and are found by a number or a name that is the kernel's.

const IPC_CREAT = 0o1000;
const IPC_EXCL = 0o2000;
const IPC_RMID = 0;

/** A System V object as /proc/sysvipc lists it. */
export interface SysvObject {
  /** The number that programs have agreed on. */
  key: number;
  /** The number that the kernel gave. */
  id: number;
}

/** `shm`: memory that several processes map; `msg`: queues of messages. */
export type SysvKind = 'shm' | 'msg';

/**
 * Makes a System V object with a key that nothing of its kind has. It stays when its maker ends: until it is removed, or the namespace
 * ends.
 * Source: shmget(2), msgget(2).
 * @returns its id
 * @throws SyscallError EEXIST, ENOSPC at the limit in /proc/sys/kernel
 */
export function createSysv(kind: SysvKind, key: number): number {
  return get(kind, key, IPC_CREAT | IPC_EXCL | 0o600);
}

/** The id of the object that has this key. @throws SyscallError ENOENT when this namespace has none */
export const findSysv = (kind: SysvKind, key: number): number => get(kind, key, 0);

/** Removes an object of the caller's namespace. Source: shmctl(2), msgctl(2). @throws SyscallError EINVAL for an id that is not there */
export function removeSysv(kind: SysvKind, id: number): void {
  if (kind === 'shm') checked('shmctl', c_shmctl(id, IPC_RMID, null), `${id}, IPC_RMID`);
  else checked('msgctl', c_msgctl(id, IPC_RMID, null), `${id}, IPC_RMID`);
}

/** What the caller's ipc namespace holds of one kind. Source: proc_sysvipc(5). */
export function listSysv(kind: SysvKind): SysvObject[] {
  const [, ...lines] = readFileSync(`/proc/sysvipc/${kind}`, 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [key, id] = line.trim().split(/\s+/).map(Number) as [number, number];
    return { key, id };
  });
}

/** Bytes of a piece of shared memory: what a page holds. */
const SHM_BYTES = 4096;

function get(kind: SysvKind, key: number, flags: number): number {
  const subject = `key ${key}`;
  if (kind === 'shm') return checked('shmget', c_shmget(key, flags === 0 ? 0 : SHM_BYTES, flags), subject);
  return checked('msgget', c_msgget(key, flags), subject);
}

const O_RDWR = 2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;

/**
 * Makes a POSIX message queue. Its name begins with a slash and has no other; it is no path, but a file at the top of a mount of type
 * `mqueue`, each of which shows the queues of the namespace in which it was mounted. Returns a descriptor.
 * Source: mq_open(3), mq_overview(7).
 * @throws SyscallError EEXIST, EINVAL for a name without a slash, EACCES for one with two
 */
export function createMessageQueue(name: string): number {
  const flags = O_RDWR | O_CREAT | O_EXCL;
  return checked(
    'mq_open',
    c_mq_open(name, flags, 'unsigned int', 0o600, 'void *', null),
    JSON.stringify(name),
  );
}

/** Takes a queue's name away. Source: mq_unlink(3). @throws SyscallError ENOENT when this namespace has none of that name */
export function unlinkMessageQueue(name: string): void {
  checked('mq_unlink', c_mq_unlink(name), JSON.stringify(name));
}
