import type { CapabilitySets } from './capabilities.ts';
import type { Capability } from './capability-names.ts';
import type { FileCapabilities } from './file-capabilities.ts';

/** What is executed, and how. */
export interface Execution {
  /** What counts as the file's capabilities: its own; for user 0 all (`ROOTS_FILE`), unless `SECBIT.NOROOT` is set; else none. */
  file?: FileCapabilities | undefined;
  /** The file has capabilities of its own, or a setuid or setgid bit: ambient capabilities are not for it. */
  privileged?: boolean;
  /** `no_new_privs` is set: the program gets nothing that the process had not. */
  noNewPrivs?: boolean;
}

/**
 * The five sets after execve(2), from those before it and from what is executed: the rule by which a container's process
 * keeps what it was left, and no more.
 * Source: "Transformation of capabilities during execve()" in capabilities(7).
 * @returns `undefined` where the kernel refuses with EPERM: the file has its effective bit, but the process cannot have all that
 * the file asks for. A program that knows nothing of capabilities could not tell, so it is not started.
 */
export function afterExec(
  before: CapabilitySets,
  { file, privileged = false, noNewPrivs = false }: Execution,
): CapabilitySets | undefined {
  //#gap 01.5 afterExec
  const both = (a: readonly Capability[], b: readonly Capability[]): Capability[] =>
    a.filter((name) => b.includes(name));
  const fromFile = [
    ...both(file?.inheritable ?? [], before.inheritable),
    ...both(file?.permitted ?? [], before.bounding),
  ];
  if (privileged && file?.effective && !file.permitted.every((name) => fromFile.includes(name)))
    return undefined;
  const ambient = privileged ? [] : before.ambient;
  const permitted = [...(noNewPrivs ? both(fromFile, before.permitted) : fromFile), ...ambient];
  return {
    effective: file?.effective ? permitted : ambient,
    permitted,
    inheritable: before.inheritable,
    bounding: before.bounding,
    ambient,
  };
  //#end
}
