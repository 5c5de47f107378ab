import type { Exit } from './reaper.ts';
import type { Stdio, StdioRequest } from './stdio.ts';

/** One process that a shim answers for: the container's first, or an exec's. */
export interface ShimProcess {
  /** '' for the container's first */
  execId: string;
  stdioRequest: StdioRequest;
  /** None before it is needed: an exec's is opened by Start. */
  stdio: Stdio | undefined;
  /** OCI Process as JSON, of an exec. */
  spec: string;
  /** 0: not made yet */
  pid: number;
  started: boolean;
  /** While Start runs: an exit is told after the start. */
  starting: Promise<unknown>;
  exit: Exit | undefined;
  /** Settles once the process has ended, its output has been read and its exit told. */
  exited: Promise<Exit>;
  /** Settles `exited`. */
  end(exit: Exit): void;
}

export function newShimProcess(execId: string, stdioRequest: StdioRequest, spec = ''): ShimProcess {
  let settle!: (exit: Exit) => void;
  const exited = new Promise<Exit>((resolve) => (settle = resolve));
  const process: ShimProcess = {
    execId,
    stdioRequest,
    stdio: undefined,
    spec,
    pid: 0,
    started: false,
    starting: Promise.resolve(),
    exit: undefined,
    exited,
    end: (exit) => {
      process.exit ??= exit;
      settle(process.exit);
    },
  };
  return process;
}
