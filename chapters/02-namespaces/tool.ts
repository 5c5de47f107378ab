import { isErrno } from '../01-processes/index.ts';

/** The programs that this layer runs, and the Debian package that each is from. */
const PACKAGES = { ip: 'iproute2', nft: 'nftables', newuidmap: 'uidmap', newgidmap: 'uidmap' } as const;

/** Where they are, and messages in English; nothing else of our environment. */
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/** How a program ended, and what it said. */
export interface ToolResult {
  ok: boolean;
  stdout: string;
  stderr: string;
}

/**
 * Runs one of them, without a shell, in the namespaces of this thread, and waits for it.
 * @throws Error when it cannot be run; a refusal by the program is a value
 */
export function tryTool(tool: keyof typeof PACKAGES, args: readonly string[], input = ''): ToolResult {
  // Loaded by whoever needs it: with streams and sockets, which come with it, it takes as long as all of myrunc.
  const { spawnSync } = process.getBuiltinModule('node:child_process');
  const { status, stdout, stderr, error } = spawnSync(tool, args, {
    env: ENVIRONMENT,
    encoding: 'utf8',
    input,
    maxBuffer: 64 * 2 ** 20,
  });
  if (isErrno(error, 'ENOENT'))
    throw new Error(`${tool}: no such program: install the package ${PACKAGES[tool]}`, { cause: error });
  if (error) throw error;
  return { ok: status === 0, stdout, stderr };
}

/**
 * The same, for what must succeed. Returns what it printed.
 * @throws Error with the whole command and the program's words: `ip link add x …: RTNETLINK answers: File exists`
 */
export function runTool(tool: keyof typeof PACKAGES, args: readonly string[], input = ''): string {
  const { ok, stdout, stderr } = tryTool(tool, args, input);
  if (!ok) {
    const reason = stderr.trim().replaceAll('\n', ' | ') || 'failed';
    throw new Error(`${[tool, ...args].join(' ')}: ${reason}${input && ` (input: ${input.trim()})`}`);
  }
  return stdout;
}
