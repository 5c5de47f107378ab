import { closeSync, readSync } from 'node:fs';
import { setCapabilities } from '../01-processes/index.ts';
import { capsetWords, type RightToFilter } from './filter-right.ts';
import { STACK, type Call } from './machine-code.ts';
import { filterProgram, setFilter } from './seccomp-program.ts';
import type { SeccompFilter } from './seccomp.ts';

/** What is done between the runtime and the program. */
export interface LastSteps {
  /** Descriptor of exec.fifo, into which `start` writes: to be waited for. */
  fifo?: number;
  /** The seccomp filter that the program is to have. */
  filter?: LateFilter | undefined;
}

/** A filter, and by what right it is set. */
export interface LateFilter extends SeccompFilter {
  /** Undefined with no_new_privs, which lets anybody set one. */
  right: RightToFilter | undefined;
}

/**
 * The steps as system calls, for the trampoline to make, in this order: to wait for `start`, by reading the byte that it writes into the fifo; to close the fifo,
 * which is a file of the host; to give the right to set a filter back, by capset(2); and to set the filter, by seccomp(2).
 * @param place puts bytes into the trampoline, and says at which address they will be
 * @param complaint when there is nothing to wait for: a script `#!/proc/self/exe` has brought the trampoline to itself
 */
export function lastCalls(
  { fifo, filter }: LastSteps,
  place: (bytes: Buffer) => number,
  complaint: string,
): Call[] {
  const calls: Call[] = [];
  const refused = 'linux.seccomp: the kernel refuses the filter\n';
  //#gap 05.4 lastCalls
  if (fifo !== undefined) {
    calls.push({ name: 'read', args: [fifo, STACK, 1], complaint }); // returns when there is a byte
    calls.push({ name: 'close', args: [fifo], complaint });
  }
  if (filter?.right) {
    const [header, data] = capsetWords(filter.right.there);
    calls.push({ name: 'capset', args: [place(header), place(data)], complaint: refused });
  }
  if (filter) {
    const program = place(filterProgram(filter.instructions.length, place(filter.instructions)));
    calls.push({ name: 'seccomp', args: [SET_MODE_FILTER, filter.flags, program], complaint: refused });
  }
  //#end
  return calls;
}

/** The first step, done by this process: blocks until `start` writes. */
export function waitForStart(fifo: number): void {
  readSync(fifo, Buffer.alloc(1));
  closeSync(fifo);
}

/** The last step, done by this process. Returns the descriptor by which a supervisor is asked, if the filter asks one. @throws SyscallError */
export function filterHere(filter: LateFilter | undefined): number | undefined {
  if (!filter) return undefined;
  if (filter.right) setCapabilities(filter.right.here);
  const result = setFilter(filter.instructions, filter.flags);
  return filter.notifies ? result : undefined;
}

/** Source: seccomp(2) */
const SET_MODE_FILTER = 1;
