/** Where systemd keeps a container: the unit that it makes for it, and where that unit's cgroup is. */
export interface SystemdPlace {
  /** The unit above it: `system.slice`. */
  slice: string;
  /** The unit itself: `docker-4f2a.scope`. */
  unit: string;
  /** The cgroup of the unit, from where the manager's own tree begins: `/system.slice/docker-4f2a.scope`. */
  path: string;
}

/**
 * `slice:prefix:name`, which is how `linux.cgroupsPath` names a place for the systemd driver; docker writes `system.slice:docker:4f2a`.
 * Without a slice it is `system.slice`, or `user.slice` for a person's own systemd. A name that ends in `.slice` is a slice itself.
 * @throws RangeError for what is no such thing, or no name that systemd takes
 */
export function systemdPlace(cgroupsPath: string, user = false): SystemdPlace {
  const bad = (why: string): never => {
    throw new RangeError(`invalid cgroup path ${JSON.stringify(cgroupsPath)} for systemd: ${why}`);
  };
  const parts = cgroupsPath.split(':');
  if (parts.length !== 3) bad('give slice:prefix:name, such as system.slice:docker:4f2a');
  const [slice, prefix, name] = parts as [string, string, string];
  if (!name) bad('it has no name');
  const parent = slice || (user ? 'user.slice' : 'system.slice');
  const unit = name.endsWith('.slice') ? name : `${prefix ? `${prefix}-` : ''}${name}.scope`;
  const above = slicePath(parent) ?? bad(`${JSON.stringify(parent)} is not the name of a slice`);
  // Source: systemd.unit(5): "The unit name prefix must consist of one or more valid characters".
  if (!/^[\w:.\\@-]+$/.test(unit) || Buffer.byteLength(unit) > 255)
    bad(`the unit ${JSON.stringify(unit)} may have letters, digits and :-_.\\@ only, at most 255`);
  return { slice: parent, unit, path: `${above}/${unit}` };
}

/**
 * Where a slice's cgroup is. Dashes in its name are levels: `a-b.slice` is inside `a.slice`, and `-.slice` is the top.
 * `undefined` for what is no name of a slice. Source: systemd.slice(5)
 */
export function slicePath(slice: string): string | undefined {
  //#region slicePath
  if (slice === '-.slice') return '';
  if (!/^[\w:.\\@-]+\.slice$/.test(slice)) return undefined;
  const levels = slice.slice(0, -'.slice'.length).split('-');
  if (levels.includes('')) return undefined; // a dash at an end, or two of them
  return levels.map((_, i) => `/${levels.slice(0, i + 1).join('-')}.slice`).join('');
  //#endregion
}
