import { chmodSync, closeSync, copyFileSync, readSync } from 'node:fs';
import { limitBounding, raiseAmbient, setCapabilities, setsIn, type CapabilitySets } from './capabilities.ts';
import { setFileCapabilities, type FileCapabilities } from './file-capabilities.ts';
import { dup2, execve, fork, pipe, waitpid } from './fork.ts';
import { parseStatus } from './status.ts';

/** What a child has, and does to itself, before it executes a program. */
export interface BeforeExec {
  sets: CapabilitySets;
  /** Of the program's file. */
  file?: FileCapabilities | undefined;
  prepare(): void;
}

/**
 * What execve(2) makes of capability sets, by trying it: the sets of a program, a cat(1) made at the path `program`, when a child with the
 * given ones has executed it; `undefined` where the kernel refuses that.
 * The file system of `program` must not be mounted nosuid.
 */
export function execWithSets(
  program: string,
  { sets, file, prepare }: BeforeExec,
): CapabilitySets | undefined {
  copyFileSync('/bin/cat', program);
  chmodSync(program, 0o755);
  if (file) setFileCapabilities(program, file);
  const { read, write } = pipe();
  const pid = fork(() => {
    dup2(write, 1);
    prepare();
    setCapabilities({ inheritable: sets.inheritable });
    limitBounding(sets.bounding);
    for (const name of sets.ambient) raiseAmbient(name);
    setCapabilities({ effective: sets.effective, permitted: sets.permitted });
    try {
      execve(program, ['cat', '/proc/self/status'], []);
    } catch {
      return 77;
    }
  });
  closeSync(write);
  const chunk = Buffer.alloc(8192);
  const text = chunk.toString('utf8', 0, readSync(read, chunk));
  closeSync(read);
  const end = waitpid(pid);
  return end.kind === 'exited' && end.code === 77 ? undefined : setsIn(parseStatus(text).capabilities);
}
