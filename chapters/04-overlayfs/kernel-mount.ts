import { checked } from '../01-processes/index.ts';
import { c_mount, c_umount2 } from './syscalls.ts';

export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  REMOUNT: 32,
  DIRSYNC: 128,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  REC: 16384,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
} as const;
export const MNT = { FORCE: 1, DETACH: 2 } as const;

export function mount(call: {
  source?: string;
  target: string;
  type?: string;
  flags?: number;
  data?: string;
}): void {
  const subject = `${JSON.stringify(call.source ?? 'none')} on ${JSON.stringify(call.target)}`;
  checked(
    'mount',
    c_mount(call.source ?? '', call.target, call.type ?? '', call.flags ?? 0, call.data ?? ''),
    subject,
  );
}

export function umount(target: string, flags = 0): void {
  checked('umount2', c_umount2(target, flags), JSON.stringify(target));
}
