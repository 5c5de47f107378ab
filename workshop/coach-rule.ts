/** What is known of a call that failed. */
export interface Failure {
  /** The call's name: `mount`, `open`; or the program's, `ip`. */
  call: string;
  /** The error's name: `EINVAL`; empty for a program. */
  code: string;
  /** What the call was given, as the error says it. */
  subject: string;
  /** The paths in it, in order. */
  paths: string[];
  /** The messages of the error and of those that it caused. */
  message: string;
}

/** One cause: which call and error it is about, the state that it shows in, and what is said. */
export interface Rule {
  calls: readonly string[];
  /** Any, unless given. */
  codes?: readonly string[];
  /** Always, unless given. A rule that throws does not hold. */
  when?: (failure: Failure) => boolean;
  says: string | ((failure: Failure) => string);
}

/** The innermost failed call of an error and its causes. */
export function factsOf(error: unknown): Failure | undefined {
  const chain: Error[] = [];
  for (let at = error; at instanceof Error && chain.length < 10; at = at.cause) chain.push(at);
  const message = chain.map((one) => one.message).join('\n');
  const failed = chain.findLast((one) => 'syscall' in one && 'code' in one) as
    (NodeJS.ErrnoException & { address?: string }) | undefined;
  if (failed) {
    // A write by descriptor does not know its path: the error around it may.
    const said = failed.path ?? failed.address ?? '';
    const subject = said || (/\/(?:proc|sys)\/[^\s":,]+/.exec(message)?.[0] ?? '');
    return {
      call: (failed.syscall ?? '').split(' ')[0]!,
      code: failed.code === 'EOPNOTSUPP' ? 'ENOTSUP' : (failed.code ?? ''),
      subject,
      paths: pathsIn(subject),
      message,
    };
  }
  const program = /^(ip|nft) /m.exec(message)?.[1];
  return program ? { call: program, code: '', subject: '', paths: [], message } : undefined;
}

/** The quoted words of a subject; an unquoted one is a path as a whole. */
function pathsIn(subject: string): string[] {
  const quoted = subject.match(/"(?:[^"\\]|\\.)*"/g);
  if (quoted) return quoted.map((text) => JSON.parse(text) as string);
  return subject === '' ? [] : [subject];
}
