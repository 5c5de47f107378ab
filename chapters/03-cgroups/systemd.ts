import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { SyscallError } from '../01-processes/index.ts';
import type { Cgroup } from './cgroup.ts';
import { openCgroup, makeCgroup } from './create.ts';
import { BusCallError, openBus, type Bus, type Value } from './dbus.ts';
import { detectCgroups } from './detect.ts';
import { checkResources } from './limits.ts';
import type { LinuxResources } from './resources.ts';
import { resourceProperties, type Property } from './systemd-properties.ts';
import { systemdPlace, type SystemdPlace } from './systemd-path.ts';

/** What the systemd driver may be told beside the path. */
export interface SystemdOptions {
  /** Whose systemd: this person's own, or the machine's. Without an answer: the machine's for root. */
  user?: boolean;
  /** D-Bus address of the manager; else systemd's own socket, or the bus. */
  address?: string;
}

/**
 * Makes a cgroup by asking systemd for a transient unit, a *scope*, with a process in it: systemd thinks that the tree is its own, so whoever wants
 * a part of it asks. With `Delegate` it leaves alone what is below. Then the limits are written to the files too, since systemd has words for a part of
 * them only, and on v1 the process joins the trees that systemd does not keep.
 * @param cgroupsPath `slice:prefix:name`, see `systemdPlace`
 * @param pid the process: a scope without one can not be. It is ended when something goes wrong after it has been moved
 * @param extra properties beside the limits, such as those of the `org.systemd.property.…` annotations
 * @throws RangeError for a path or a limit that is none, before anything is made; Error when systemd refuses: then nothing is left; Error when a
 *   person's own systemd is asked on a machine with cgroup v1
 */
export function createSystemdCgroup(
  cgroupsPath: string,
  pid: number,
  resources: LinuxResources = {},
  options: SystemdOptions & { extra?: readonly Property[] } = {},
): Cgroup {
  const place = systemdPlace(cgroupsPath, isUser(options));
  checkResources(resources);
  const { layout } = detectCgroups();
  if (isUser(options) && layout !== 'v2')
    throw new Error(
      `${cgroupsPath}: this machine keeps its controllers in cgroup v1, which is never given away: a person's own systemd can limit nothing here. Ask as root, or boot with systemd.unified_cgroup_hierarchy=1`,
    );
  const properties = [
    ...unitProperties(place, pid, layout === 'v2'),
    ...(options.extra ?? []),
    ...resourceProperties(resources, layout),
  ];
  withBus(options, (bus) => startUnit(bus, place.unit, properties));
  const cgroup = openSystemdCgroup(cgroupsPath, options);
  try {
    makeCgroup(cgroup.path);
    cgroup.add(pid);
    openCgroup(cgroup.path).set(resources); // systemd knows them already
    return cgroup;
  } catch (error) {
    cgroup.kill();
    cgroup.remove();
    throw error;
  }
}

/**
 * The cgroup of a unit that `createSystemdCgroup` made. Limits that are set go to systemd and to the files; it is removed with its unit.
 * @throws RangeError for a path that is none
 */
export function openSystemdCgroup(cgroupsPath: string, options: SystemdOptions = {}): Cgroup {
  const user = isUser(options);
  const place = systemdPlace(cgroupsPath, user);
  // A person's own systemd has a part of the tree: its units are below.
  const top = user ? withBus(options, managerGroup) : '';
  const cgroup = openCgroup(`${top}${place.path}`);
  return {
    ...cgroup,
    driver: 'systemd',
    set(resources) {
      checkResources(resources);
      const properties = resourceProperties(resources, cgroup.layout);
      if (properties.length > 0) withBus(options, (bus) => setProperties(bus, place.unit, properties));
      cgroup.set(resources);
    },
    remove() {
      // systemd would end them, and wait for that: what is removed is empty, with either driver.
      if (cgroup.pids().length > 0) throw new SyscallError('rmdir', constants.errno.EBUSY, cgroup.path);
      withBus(options, (bus) => stopUnit(bus, place.unit));
      cgroup.remove();
    },
  };
}

/** What a container's unit is, beside its limits. */
function unitProperties({ slice, unit }: SystemdPlace, pid: number, v2: boolean): Property[] {
  //#region unitProperties
  const accounting = [
    'CPUAccounting',
    'MemoryAccounting',
    v2 ? 'IOAccounting' : 'BlockIOAccounting',
    'TasksAccounting',
  ];
  const yes = (name: string): Property => ({ name, signature: 'b', value: true });
  return [
    { name: 'Description', signature: 's', value: `container ${unit}` },
    ...(unit.endsWith('.slice')
      ? [{ name: 'Wants', signature: 'as', value: [slice] }]
      : [
          { name: 'Slice', signature: 's', value: slice },
          yes('Delegate'), // what is below is ours
          { name: 'PIDs', signature: 'au', value: [pid] },
        ]),
    ...accounting.map(yes),
    { name: 'DefaultDependencies', signature: 'b', value: false }, // not stopped with the others at shutdown's begin
  ];
  //#endregion
}

const MANAGER = {
  destination: 'org.freedesktop.systemd1',
  path: '/org/freedesktop/systemd1',
  interface: 'org.freedesktop.systemd1.Manager',
} as const;

/** Starts a unit and waits until it runs. One of the same name that has failed is forgotten first. */
function startUnit(bus: Bus, unit: string, properties: readonly Property[]): void {
  const start = (): Value[] =>
    bus.call(
      { ...MANAGER, member: 'StartTransientUnit' },
      'ssa(sv)a(sa(sv))',
      [unit, 'replace', variants(properties), []],
      'o',
    );
  let job: Value[];
  try {
    job = start();
  } catch (error) {
    if (!(error instanceof BusCallError) || !error.busName.endsWith('.UnitExists')) throw error;
    bus.call({ ...MANAGER, member: 'ResetFailedUnit' }, 's', [unit]);
    job = start();
  }
  const result = finished(bus, job);
  if (result === 'done') return;
  forget(bus, unit);
  throw new Error(
    result
      ? `systemd did not start ${unit}: its job ended with ${JSON.stringify(result)}`
      : `systemd did not start ${unit} within 30 seconds`,
  );
}

/** Stops a unit, and forgets that it failed if it did. Nothing happens if it is gone. */
function stopUnit(bus: Bus, unit: string): void {
  try {
    finished(bus, bus.call({ ...MANAGER, member: 'StopUnit' }, 'ss', [unit, 'replace'], 'o'));
  } catch (error) {
    if (!isUnknownUnit(error)) throw error;
  }
  forget(bus, unit);
}

function setProperties(bus: Bus, unit: string, properties: readonly Property[]): void {
  // Runtime: until the machine is started again.
  bus.call({ ...MANAGER, member: 'SetUnitProperties' }, 'sba(sv)', [unit, true, variants(properties)]);
}

/** systemd keeps a unit that failed, so that one may look at it; its name is then not free. */
function forget(bus: Bus, unit: string): void {
  try {
    bus.call({ ...MANAGER, member: 'ResetFailedUnit' }, 's', [unit]);
  } catch (error) {
    if (!isUnknownUnit(error)) throw error;
  }
}

const isUnknownUnit = (error: unknown): boolean =>
  error instanceof BusCallError && error.busName.endsWith('.NoSuchUnit');

/** How a job ended: `done`, or how it failed; `undefined` when it takes longer than 30 seconds. */
function finished(bus: Bus, [job]: Value[]): string | undefined {
  for (;;) {
    const signal = bus.signal(MANAGER.interface, 'JobRemoved', 'uoss', 30_000);
    if (!signal) return undefined;
    const [, which, , result] = signal;
    if (which === job) return result as string;
  }
}

const variants = (properties: readonly Property[]): Value[] =>
  properties.map(({ name, signature, value }) => [name, { signature, value }]);

/** The cgroup that a manager has been given, below which its units are. */
function managerGroup(bus: Bus): string {
  const [answer] = bus.call(
    { ...MANAGER, interface: 'org.freedesktop.DBus.Properties', member: 'Get' },
    'ss',
    [MANAGER.interface, 'ControlGroup'],
    'v',
  );
  return (answer as { value: string }).value;
}

const isUser = ({ user }: SystemdOptions): boolean => user ?? process.geteuid!() !== 0;

/** Opens a connection to systemd, and closes it again. */
function withBus<T>(options: SystemdOptions, use: (bus: Bus) => T): T {
  const { address, daemon } = managerAddress(options);
  let bus: Bus;
  try {
    bus = openBus(address, daemon);
  } catch (cause) {
    const question = isUser(options)
      ? `does one run for user ${process.geteuid!()}? Log in, or type: loginctl enable-linger`
      : 'is it the first process of this machine?';
    throw new Error(`systemd does not answer at ${address}: ${question}`, { cause });
  }
  try {
    if (daemon) {
      // A direct connection hears every signal; on a bus one asks for it.
      const dbus = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus' } as const;
      const rule = `type='signal',interface='${MANAGER.interface}',member='JobRemoved'`;
      bus.call({ ...dbus, interface: 'org.freedesktop.DBus', member: 'AddMatch' }, 's', [rule]);
      bus.call({ ...MANAGER, member: 'Subscribe' }, '', []);
    }
    return use(bus);
  } finally {
    bus.close();
  }
}

/**
 * Where systemd listens: it has a direct line that needs no bus daemon, and is reached over the bus by who may not use that. The same for
 * the machine's systemd and for a person's own. Source: systemctl(1) goes the same ways
 */
function managerAddress(options: SystemdOptions): { address: string; daemon: boolean } {
  if (options.address) return { address: options.address, daemon: true };
  const runtime = process.env['XDG_RUNTIME_DIR'] ?? `/run/user/${process.geteuid!()}`;
  const [folder, variable, bus] = isUser(options)
    ? [runtime, 'DBUS_SESSION_BUS_ADDRESS', `${runtime}/bus`]
    : ['/run', 'DBUS_SYSTEM_BUS_ADDRESS', '/run/dbus/system_bus_socket'];
  const direct = `${folder}/systemd/private`;
  return existsSync(direct)
    ? { address: `unix:path=${direct}`, daemon: false }
    : { address: process.env[variable] ?? `unix:path=${bus}`, daemon: true };
}

/** Whether systemd keeps the cgroups of this machine: the driver for it is the right one then. Source: sd_booted(3) */
export const isSystemdRunning = (): boolean => existsSync('/run/systemd/system');
