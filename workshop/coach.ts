import { cgroupRules } from './coach-cgroup.ts';
import { factsOf, type Failure, type Rule } from './coach-rule.ts';
import { fileRules } from './coach-files.ts';
import { mountRules } from './coach-mount.ts';
import { namespaceRules } from './coach-namespaces.ts';
import { networkRules } from './coach-network.ts';
import { processRules } from './coach-process.ts';
import { rightsRules } from './coach-rights.ts';
import { rootRules } from './coach-root.ts';
import { terminalRules } from './coach-terminal.ts';

// The errno coach: an error number says little ("Invalid argument"); what it means stands in the state of the machine around
// the call. A rule names a call and an error, looks at that state, and says the cause and what to do. The first that holds is said.

const RULES: readonly Rule[] = [
  ...mountRules,
  ...rootRules,
  ...namespaceRules,
  ...rightsRules,
  ...processRules,
  ...terminalRules,
  ...cgroupRules,
  ...networkRules,
  ...fileRules,
];

/**
 * The likely cause of a system call that failed, with what to do; `undefined` for what is no failed call, and for what no rule knows. It
 * looks at the machine as it is now, so it is to be asked where the error was caught: in the same process, before anything is cleaned up.
 * @param error a SyscallError, an error of Node's fs or net, one of `ip` or `nft`, or one that has such an error as its cause
 */
export function explain(error: unknown): string | undefined {
  const failure = factsOf(error);
  return failure && RULES.map((rule) => causeBy(rule, failure)).find((cause) => cause !== undefined);
}

function causeBy({ calls, codes, when, says }: Rule, failure: Failure): string | undefined {
  if (!calls.includes(failure.call) || (codes && !codes.includes(failure.code))) return undefined;
  try {
    if (when && !when(failure)) return undefined;
    return typeof says === 'string' ? says : says(failure);
  } catch {
    return undefined; // the state cannot be read here, for example without /proc: this rule does not know
  }
}
