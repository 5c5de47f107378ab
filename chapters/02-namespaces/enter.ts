import { closeSync, constants as files, openSync, statSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { execve, exitCode, fork, isErrno, SyscallError, waitpid } from '../01-processes/index.ts';
import { kindOfFile, owningUserNamespace } from './ioctl-ns.ts';
import { joinNamespaces, namespaceIds, namespacePath, type NamespaceKind } from './namespaces.ts';
import { chroot, fchdir } from './pivot-root.ts';
import { setgid, setgroups, setuid } from './user.ts';

/** Where a program is to run: what nsenter(1) is told by options. */
export interface EnterRequest {
  /** The namespaces to join, by their paths. */
  paths: Partial<Record<NamespaceKind, string>>;
  /** A new root and a new working directory, found before the first namespace is joined. */
  root?: string;
  workingDirectory?: string;
  /** Default: 0 in a user namespace, else as it is. */
  uid?: number;
  gid?: number;
  /** Who one is is left alone, in a user namespace too. */
  preserveCredentials?: boolean;
  /** Run the program in a child: without it nobody gets into a pid namespace. Default: when one is joined. */
  fork?: boolean;
}

/** Every namespace of a process that is not the caller's own. One's own cannot all be joined: a user namespace is EINVAL. */
export function otherNamespacesOf(pid: number): Partial<Record<NamespaceKind, string>> {
  const [mine, theirs] = [namespaceIds('self'), namespaceIds(pid)];
  const kinds = (Object.keys(theirs) as NamespaceKind[]).filter((kind) => mine[kind] !== theirs[kind]);
  return Object.fromEntries(kinds.map((kind) => [kind, namespacePath(pid, kind)]));
}

/**
 * Joins namespaces and runs a program there, and returns its status as a shell counts: 127 for one that is not there, 126 for one that cannot
 * be run, 128 + n after signal n. All of it happens in a child, which has a single thread: the kernel moves no thread of several into
 * a user namespace.
 * Source: nsenter(1), setns(2).
 * @throws Error for a path that is no namespace of its kind, ENOENT for one that is not there, both before anything has changed. What is refused
 * later is said on standard error, and the status is 1
 */
export function enterAndRun(request: EnterRequest, argv: readonly string[]): number {
  checkKinds(request.paths);
  const directories = [request.root, request.workingDirectory].map((path) =>
    path === undefined ? undefined : openSync(path, files.O_RDONLY | files.O_DIRECTORY),
  );
  try {
    return runAsChild(() => {
      joinInOrder(request.paths);
      takePlace(directories[0], directories[1]);
      // A process cannot change its number: whoever joins a pid namespace is inside with its next child.
      const again = request.fork ?? request.paths.pid !== undefined;
      return again ? runAsChild(() => becomeProgram(request, argv)) : becomeProgram(request, argv);
    });
  } finally {
    for (const fd of directories) if (fd !== undefined) closeSync(fd);
  }
}

function runAsChild(child: () => number): number {
  return exitCode(
    waitpid(
      fork(() => {
        try {
          return child();
        } catch (error) {
          writeSync(2, `nsenter: ${inOurWords(error)}\n`);
          if (!(error instanceof SyscallError) || error.syscall !== 'execve') return 1;
          return isErrno(error, 'ENOENT') ? 127 : 126;
        }
      }),
    ),
  );
}

/** The error of a system call that Node made, in the words of ours. */
export function inOurWords(error: unknown): string {
  const { errno, syscall, path, message } = error as NodeJS.ErrnoException;
  if (error instanceof SyscallError || !errno || !syscall) return message;
  return new SyscallError(syscall, Math.abs(errno), path).message;
}

function takePlace(root: number | undefined, workingDirectory: number | undefined): void {
  if (root !== undefined) {
    fchdir(root);
    chroot('.');
  }
  if (workingDirectory !== undefined) fchdir(workingDirectory);
}

function checkKinds(paths: EnterRequest['paths']): void {
  for (const [kind, path] of Object.entries(paths)) {
    const found = kindOfFile(path);
    if (found !== kind)
      throw new Error(`${path} is ${found ? `a ${found} namespace` : 'no namespace'}, and not ${kind}`);
  }
}

/**
 * The user namespace gives rights in what it owns, and takes those that the caller had elsewhere. So what it does not own comes first:
 * the network of the host, say, which a rootless container may have kept.
 */
function joinInOrder(paths: EnterRequest['paths']): void {
  const { user, ...others } = paths;
  if (user === undefined) return joinNamespaces(paths);
  const inode = statSync(user).ino;
  const [foreign, owned]: [EnterRequest['paths'], EnterRequest['paths']] = [{}, { user }];
  for (const [kind, path] of Object.entries(others) as [NamespaceKind, string][])
    (owningUserNamespace(path) === inode ? owned : foreign)[kind] = path;
  joinNamespaces(foreign);
  joinNamespaces(owned);
}

function becomeProgram(request: EnterRequest, argv: readonly string[]): never {
  becomeUser(request);
  const env = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  return execvp(argv, env);
}

function becomeUser({ paths, uid, gid, preserveCredentials = false }: EnterRequest): void {
  const root = paths.user !== undefined && !preserveCredentials ? 0 : undefined;
  const [toUid, toGid] = [uid ?? root, gid ?? root];
  if (toGid !== undefined) {
    try {
      setgroups([]);
    } catch (error) {
      // Denied where somebody without rights made the namespace: the groups then stay.
      if (paths.user === undefined) throw error;
    }
    setgid(toGid);
  }
  if (toUid !== undefined) setuid(toUid);
}

/** Becomes a program that is looked for along PATH, as it is in here. execvp(3). */
function execvp(argv: readonly string[], env: readonly string[]): never {
  const [name] = argv as [string];
  if (name.includes('/')) return execve(name, argv, env);
  let refused: unknown;
  for (const directory of (process.env['PATH'] ?? '/bin:/usr/bin').split(':')) {
    try {
      return execve(join(directory || '.', name), argv, env);
    } catch (error) {
      // Found, but not ours to run: somewhere else may be another.
      if (isErrno(error, 'EACCES')) refused = error;
      else if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
  }
  throw refused ?? new SyscallError('execve', constants.errno.ENOENT, JSON.stringify(name));
}
