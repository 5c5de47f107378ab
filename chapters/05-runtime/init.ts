import { closeSync, openSync } from 'node:fs';
import { setsid } from '../01-processes/index.ts';
import {
  CLONE,
  mkdirAllInRoot,
  O_PATH,
  fchdir,
  setdomainname,
  sethostname,
  unshare,
} from '../02-namespaces/index.ts';
import type { BindSources } from './bind-sources.ts';
import { cgroupPlaces, type CgroupPlace } from './cgroup-mounts.ts';
import type { Channel } from './channel.ts';
import { bindConsole, openConsole, sendTerminal, type Console } from './console.ts';
import { linkDevices, makeDevices } from './devices.ts';
import { runHooks } from './hooks.ts';
import { filterHere, waitForStart } from './last-steps.ts';
import { bringUpLoopback } from './loopback.ts';
import { mountAll } from './mounts.ts';
import { prepareProcess, type Prepared, type ProcessSetup } from './prepare-process.ts';
import {
  enterRoot,
  enterRootByChroot,
  enterSharedRoot,
  makePathReadOnly,
  makeRootReadOnly,
  maskPath,
  prepareRoot,
  setRootPropagation,
} from './rootfs.ts';
import type { NamespaceType, OciSpec } from './spec.ts';
import { ociState, type ContainerState } from './state.ts';
import { c_keyctl } from './syscalls.ts';
import { writeSysctls } from './sysctl.ts';
import { becomeProgram, jump } from './trampoline.ts';
import { isInUserNamespace } from './user-namespace.ts';

/** What the container's first process has been given. */
export interface InitSetup extends ProcessSetup {
  state: ContainerState;
  /** Descriptor of exec.fifo, into which `start` writes. */
  fifo: number;
  /** What the runtime has opened to be bound. */
  sources: BindSources;
  noPivot: boolean;
  noNewKeyring: boolean;
}

/** What the steps know, and pass on. */
interface Init extends InitSetup {
  spec: OciSpec;
  channel: Channel;
  cgroups: CgroupPlace[];
  root: number;
  makeReadOnlyAtEnd: (() => void)[];
  console: Console | undefined;
}

//#region steps
/**
 * The life of a container's first process until it is the container's program, step by step. It is in all namespaces already, but for a new
 * cgroup namespace. Order is security: what is mounted comes before what is hidden, rights go last.
 */
const STEPS: readonly (readonly [name: string, step: (init: Init) => void])[] = [
  // In the host's files still, which only this process sees any more.
  ['session', newSession],
  ['cgroup namespace', newCgroupNamespace],
  ['loopback', (c) => made(c, 'network') && bringUpLoopback()],
  ['root', prepare],
  ['mounts', mountEverything],
  ['devices', deviceFiles],
  ['working directory', (c) => closeSync(mkdirAllInRoot(c.root, c.process.cwd))],
  ['terminal', terminal],
  ['hooks of the runtime', (c) => (c.channel.send({ type: 'mounted' }), c.channel.awaitGo())],
  [
    'createContainer hooks',
    // runc starts them in the root: hooks know it.
    (c) => (
      fchdir(c.root),
      runHooks('createContainer', c.spec.hooks?.createContainer, ociState(c.state, 'creating'))
    ),
  ],
  ['sysctl', (c) => writeSysctls(c.proc, c.spec.linux?.sysctl ?? {})],
  ['read-only mounts', (c) => c.makeReadOnlyAtEnd.forEach((makeReadOnly) => makeReadOnly())],
  ['read-only paths', (c) => c.spec.linux?.readonlyPaths?.forEach((path) => makePathReadOnly(c.root, path))],
  ['masked paths', (c) => c.spec.linux?.maskedPaths?.forEach((path) => maskPath(c.root, path))],
  // The image's files from here on.
  ['change of root', changeRoot],
  ['propagation of the root', (c) => setRootPropagation(c.spec.linux?.rootfsPropagation ?? '')],
  ['read-only root', (c) => c.spec.root?.readonly && makeRootReadOnly()],
  ['hostname', hostname],
];
//#endregion

/**
 * Makes this process the first of a container: goes through STEPS, gives up its rights, says `ready`, waits for `start`, and
 * becomes the program.
 * @throws Error "error during container init", for the runtime to report
 */
export function runInit(setup: InitSetup, channel: Channel): never {
  const init: Init = {
    ...setup,
    spec: setup.state.spec,
    channel,
    cgroups: [],
    root: -1,
    makeReadOnlyAtEnd: [],
    console: undefined,
  };
  channel.awaitGo();
  channel.send({ type: 'debug', message: 'child process in init()' });
  for (const [name, step] of STEPS)
    try {
      step(init);
    } catch (cause) {
      throw new Error(`error during container init: ${name}`, { cause });
    }
  const prepared = prepareProcess(init, init.console?.slave, channel);
  channel.send({ type: 'ready' });
  channel.awaitGo();
  channel.send({ type: 'debug', message: 'init: closing the pipe to signal completion' });
  return waitAndBecome(init, prepared);
}

/**
 * Waits until `start` writes into the fifo, and becomes the program. The trampoline does so, unless hooks come between: they need this runtime. Upon
 * execve(2) the channel closes, and nobody listens any more: what goes wrong afterwards is said on the container's own standard error.
 */
function waitAndBecome({ spec, state, fifo, channel }: Init, { program, filter }: Prepared): never {
  const hooks = spec.hooks?.startContainer;
  const inForce = filter ? undefined : spec.linux?.seccomp;
  if (!hooks?.length) jump(program, { fifo, filter }, inForce);
  channel.close();
  waitForStart(fifo);
  if (!hooks?.length) return becomeProgram(program, filter, inForce);
  filterHere(filter); // the hooks are the image's, and under its filter too
  runHooks('startContainer', hooks, ociState(state, 'created'));
  return becomeProgram(program, undefined, spec.linux?.seccomp);
}

function newSession({ state, noNewKeyring }: Init): void {
  setsid();
  if (noNewKeyring) return;
  // The caller's keys are not the container's. Kernels without keys have none to hide. keyctl(2), KEYCTL_JOIN_SESSION_KEYRING.
  c_keyctl(1, `_ses.${state.id}`);
}

/** Whether this container's namespace of a kind is new, and not joined or shared. */
function made({ spec }: Pick<Init, 'spec'>, type: NamespaceType): boolean {
  return spec.linux?.namespaces?.some((namespace) => namespace.type === type && !namespace.path) ?? false;
}

/** Whether what is mounted from here on is this container's alone. */
const hasOwnMounts = ({ spec }: Init): boolean =>
  spec.linux?.namespaces?.some(({ type }) => type === 'mount') ?? false;

function prepare(init: Init): void {
  const { rootfs } = init.state;
  init.root = hasOwnMounts(init)
    ? prepareRoot(rootfs, init.spec.linux?.rootfsPropagation ?? '')
    : openSync(rootfs, O_PATH);
}

function changeRoot(init: Init): void {
  if (!hasOwnMounts(init)) enterSharedRoot(init.root);
  else if (init.noPivot) enterRootByChroot(init.root);
  else enterRoot(init.root);
}

function newCgroupNamespace(init: Init): void {
  init.cgroups = cgroupPlaces();
  if (made(init, 'cgroup')) unshare(CLONE.NEWCGROUP);
}

function mountEverything(init: Init): void {
  init.makeReadOnlyAtEnd = mountAll(init.spec.mounts ?? [], {
    rootFd: init.root,
    rootfs: init.state.rootfs,
    bundle: init.state.bundle,
    cgroups: init.cgroups,
    sources: init.sources,
    cgroupNamespace: init.spec.linux?.namespaces?.some(({ type }) => type === 'cgroup') ?? false,
  });
}

/** Where /dev is the host's own, bound, it is complete, and nothing in it may be changed. */
function deviceFiles({ spec, root }: Init): void {
  const dev = spec.mounts?.find(({ destination }) => /^\/dev\/*$/.test(destination));
  if (dev?.type === 'bind' || dev?.options?.some((option) => /^r?bind$/.test(option))) return;
  makeDevices(root, spec.linux?.devices ?? [], isInUserNamespace());
  linkDevices(root);
}

function terminal(init: Init): void {
  if (!init.process.terminal) return;
  init.console = openConsole(init.root, init.process.consoleSize);
  bindConsole(init.root, init.console.slave);
  sendTerminal(init.consoleSocket!, init.console.master);
}

function hostname({ spec }: Init): void {
  if (spec.hostname) sethostname(spec.hostname);
  if (spec.domainname) setdomainname(spec.domainname);
}
