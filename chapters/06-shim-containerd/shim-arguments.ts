/** What containerd starts a shim with. Source: containerd's runtime/v2/README.md, "Command line". */
export interface ShimArguments {
  /** containerd's namespace (of names, not of the kernel) */
  namespace: string;
  /** the container's id */
  id: string;
  /** containerd's gRPC socket */
  address: string;
  publishBinary: string;
  /** the bundle; containerd 1.6 gives it for `delete` only, and else as the working directory */
  bundle: string;
  /** the daemon's: path of the socket that it was handed */
  socket: string;
  debug: boolean;
  version: boolean;
  /** none: be the daemon */
  action: 'start' | 'delete' | undefined;
}

const VALUES = {
  namespace: 'namespace',
  id: 'id',
  address: 'address',
  'publish-binary': 'publishBinary',
  bundle: 'bundle',
  socket: 'socket',
} as const;

/**
 * Reads flags as Go's flag package does (`-id x`, `--id x`, `-id=x`, `-debug`), then the action.
 * @throws Error that says which argument is wrong
 */
export function parseShimArguments(argv: readonly string[]): ShimArguments {
  const parsed: ShimArguments = {
    namespace: '',
    id: '',
    address: '',
    publishBinary: '',
    bundle: process.cwd(),
    socket: '',
    debug: false,
    version: false,
    action: undefined,
  };
  const rest = [...argv];
  while (rest[0]?.startsWith('-')) {
    const [, name = '', inline] = /^--?([^=]*)(?:=(.*))?$/s.exec(rest.shift()!) ?? [];
    if (name === 'debug') parsed.debug = inline !== 'false';
    else if (name === 'v') parsed.version = true;
    else if (Object.hasOwn(VALUES, name)) {
      const value = inline ?? rest.shift();
      if (value === undefined) throw new Error(`flag needs an argument: -${name}`);
      parsed[VALUES[name as keyof typeof VALUES]] = value;
    } else throw new Error(`flag provided but not defined: -${name}`);
  }
  if (parsed.version) return parsed;
  const [action, ...more] = rest;
  if ((action !== undefined && action !== 'start' && action !== 'delete') || more.length > 0)
    throw new Error(`unknown action ${JSON.stringify(rest.join(' '))}: start, delete or none`);
  if (!/^[\w][\w.-]*$/.test(parsed.namespace))
    throw new Error(`-namespace ${JSON.stringify(parsed.namespace)}: shim namespace cannot be empty`);
  if (!/^[\w][\w.-]*$/.test(parsed.id))
    throw new Error(`-id ${JSON.stringify(parsed.id)}: give the container's id`);
  return { ...parsed, action };
}
