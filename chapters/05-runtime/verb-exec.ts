import { closeSync } from 'node:fs';
import { loadProcess } from './bundle.ts';
import { connectConsoleSocket } from './console.ts';
import { execInContainer } from './exec.ts';
import { inheritedDescriptors } from './inherited-descriptors.ts';
import { foregroundTerminal, waitInForeground } from './foreground.ts';
import { protectRuntime } from './protect-runtime.ts';
import type { OciCapabilities, OciProcess, OciUser } from './spec.ts';
import { loadState } from './state.ts';
import { validateProcess } from './validate.ts';
import type { Run, Values } from './verbs.ts';

/** `exec`: one more process in a container. The exit status is that of the program, unless it is detached; 255 when it did not begin. */
export const run: Run = async (context, options, [id, ...command]) => {
  const preserve = inheritedDescriptors(options['preserve-fds'] ?? 0);
  const { spec } = loadState(context.root, id!);
  const base = spec.process!;
  const process_ =
    options.process === undefined ? changed(base, options, command) : loadProcess(options.process);
  protectRuntime(spec);
  protectRuntime({ ...spec, process: process_ });
  const { detach = false } = options;
  const socketPath: string | undefined = options['console-socket'];
  if (process_.terminal && detach && socketPath === undefined)
    throw new Error('cannot allocate tty if myrunc will detach without setting console socket');
  if (!process_.terminal && socketPath !== undefined)
    throw new Error('cannot use console socket if myrunc will not detach or allocate tty');
  const own = process_.terminal && socketPath === undefined ? foregroundTerminal() : undefined;
  const socket = own?.socket ?? (socketPath === undefined ? undefined : connectConsoleSocket(socketPath));
  try {
    const pid = execInContainer(context, id!, {
      process: process_,
      pidFile: options['pid-file'],
      pidfdSocket: options['pidfd-socket'],
      consoleSocket: socket,
      preserve,
      ignorePaused: options['ignore-paused'] ?? false,
      cgroup: options.cgroup ?? [],
    });
    const connection = await own?.connect();
    return detach ? 0 : await waitInForeground(pid, connection);
  } finally {
    own?.close();
    if (!own && socket !== undefined) closeSync(socket);
  }
};

/** The container's own process, with what the command line says otherwise. */
function changed(base: OciProcess, options: Values, command: string[]): OciProcess {
  if (command.length === 0) throw new Error('exec args cannot be empty');
  const changed: OciProcess = {
    ...base,
    args: command,
    terminal: options.tty ?? false,
    env: [...(base.env ?? []), ...(options.env ?? [])],
    cwd: options.cwd ?? base.cwd,
    user: user(base.user ?? { uid: 0, gid: 0 }, options),
    noNewPrivileges: options['no-new-privs'] ?? base.noNewPrivileges ?? false,
  };
  if (options['process-label'] !== undefined) changed.selinuxLabel = options['process-label'];
  if (options.apparmor !== undefined) changed.apparmorProfile = options.apparmor;
  delete changed.consoleSize;
  if (options.cap) changed.capabilities = withCapabilities(base.capabilities ?? {}, options.cap);
  validateProcess(changed);
  return changed;
}

function user(base: OciUser, options: Values): OciUser {
  const extra = (options['additional-gids'] as string[] | undefined)?.map((gid) =>
    id('additional-gids', gid),
  );
  const groups = extra && { additionalGids: [...(base.additionalGids ?? []), ...extra] };
  if (options.user === undefined) return { ...base, ...groups };
  const [uid, gid] = String(options.user).split(':');
  return { ...base, uid: id('user', uid!), ...(gid !== undefined && { gid: id('user', gid) }), ...groups };
}

function id(option: string, text: string): number {
  if (!/^\d+$/.test(text) || Number(text) > 2 ** 32 - 2)
    throw new Error(`--${option}: ${JSON.stringify(text)} is no id: numbers are allowed, as UID or UID:GID`);
  return Number(text);
}

/** --cap adds to every set but those that outlive a program's start for a user who is not root. */
function withCapabilities(base: OciCapabilities, more: string[]): OciCapabilities {
  const add = (set: string[] = []): string[] => [...new Set([...set, ...more])];
  return {
    ...base,
    bounding: add(base.bounding),
    effective: add(base.effective),
    permitted: add(base.permitted),
    inheritable: base.inheritable ?? [],
    ambient: base.ambient ?? [],
  };
}
