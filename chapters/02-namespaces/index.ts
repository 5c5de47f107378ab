export {
  CLONE,
  NAMESPACES,
  type NamespaceKind,
  type NamespaceEntry,
  unshare,
  setns,
  flagNames,
  namespaceId,
  namespaceIds,
  namespacePath,
  joinNamespaces,
  listNamespaces,
} from './namespaces.ts';
export { clone } from './clone.ts';
export { kindOfFile, owningUserNamespace, parentNamespace, ownerOf } from './ioctl-ns.ts';
export { namespaceTable, processesIn, inodeOf, userName, type NamespaceRow } from './namespace-table.ts';
export { enterAndRun, otherNamespacesOf, type EnterRequest } from './enter.ts';
export { getopt, UsageError, type OptionSpec, type GivenOption } from './getopt.ts';
export { pinNamespace, unpinNamespace } from './pin.ts';
export { sethostname, setdomainname } from './uts.ts';
export { setuid, setgid, setgroups } from './user.ts';
export {
  createSysv,
  findSysv,
  removeSysv,
  listSysv,
  createMessageQueue,
  unlinkMessageQueue,
  type SysvKind,
  type SysvObject,
} from './ipc.ts';
export { writeTimeOffsets, readTimeOffsets, type TimeOffsets } from './time.ts';
export { writeIdMaps, formatRanges, parseRanges, toHostId, type IdMaps, type IdRange } from './idmaps.ts';
export {
  subordinateRanges,
  rootlessMaps,
  selfMaps,
  writeIdMapsWithHelpers,
  type Person,
  type SubordinateRange,
} from './subordinate-ids.ts';
// A person without rights, for demos and tests of later chapters.
export { becomePerson, introduce } from './rootless-stage.ts';
export { cloneInUserNamespace } from './user-namespace.ts';
export {
  mount,
  umount,
  openTree,
  moveMount,
  mountSetattr,
  MS,
  MNT,
  UMOUNT_NOFOLLOW,
  MOUNT_ATTR,
  type MountCall,
  type MountAttributes,
} from './mount.ts';
export {
  parseMountOptions,
  MOUNT_OPTIONS,
  PROPAGATION_OPTIONS,
  RECURSIVE_OPTIONS,
  RUNTIME_OPTIONS,
  type ParsedMountOptions,
} from './mount-options.ts';
export { setPropagation, peerOf, describePeer, receivers, type Peer } from './propagation.ts';
export { mountWithOptions, remountBind, makeReadOnly, type MountRequest } from './mount-with-options.ts';
export { pivotRoot, enterRoot, chroot, fchdir } from './pivot-root.ts';
export { openInRoot, openInRootIfThere, openAt, fdPath, O_PATH, type OpenOptions } from './open-in-root.ts';
export { mkdirAllInRoot, touchInRoot } from './make-in-root.ts';
export { withNetworkNamespace, bringUpLoopback, type NetworkTarget } from './netns.ts';
export { createBridge, removeBridge, linkExists, type BridgeOptions } from './bridge.ts';
export { connectToBridge, disconnectFromBridge, type Connection } from './veth.ts';
export { masquerade, removeMasquerade, type Masquerade } from './nat.ts';
export { listRuleset, type Ruleset, type Chain, type Rule } from './nft.ts';
export { interfaceNames, localAddresses } from './interfaces.ts';
export {
  parseCidr,
  parseInterfaceAddress,
  formatAddress,
  macForAddress,
  checkInterfaceName,
  type Cidr,
} from './address.ts';
export { runTool, tryTool, type ToolResult } from './tool.ts';
