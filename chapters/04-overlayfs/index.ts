export { StoreError, isStoreError, type StoreErrorCode } from './errors.ts';
export { writeFileAtomic, writeState, readState, serializer, type Versioned } from './state-file.ts';
export { updatedLabels, type Labels } from './labels.ts';
export { lockDirectory } from './directory-lock.ts';
export { digestOf, parseDigest, digestHex, type Digest } from './digest.ts';
export { openContentStore, writeBlob, type ContentStore, type ContentInfo } from './content-store.ts';
export type { ContentWriter, IngestStatus, WriterOptions } from './content-writer.ts';
export {
  parseReference,
  referenceString,
  familiarString,
  normalizeReference,
  type Reference,
} from './reference.ts';
export { openImageStore, type Image, type ImageStore } from './image-store.ts';
export {
  MEDIA_TYPE,
  chainIds,
  hostPlatform,
  readJson,
  resolveImage,
  type ContainerDefaults,
  type Descriptor,
  type History,
  type ImageConfig,
  type Healthcheck,
  type Index,
  type Manifest,
  type Platform,
  type ResolvedImage,
} from './image.ts';
export { choosePlatform, isIndex } from './image.ts';
export { keepTogether } from './keep-together.ts';
export {
  credentialsKey,
  dockerConfigPath,
  eraseCredentials,
  readCredentials,
  storeCredentials,
  type Credentials,
} from './docker-config.ts';
export { RegistryError, Unreachable } from './registry-error.ts';
export { endpoints, type RegistrySettings } from './registry-hosts.ts';
export { parseChallenges, type Challenge } from './registry-auth.ts';
export { login, type RegistryOptions } from './registry.ts';
export { openDownloads, type Downloads } from './downloads.ts';
export { shortDigest, type Progress, type Report } from './progress.ts';
export { pullImage, type PulledImage, type PullOptions } from './pull.ts';
export { pushImage, type PushOptions } from './push.ts';
export { parseDockerfile, type Dockerfile, type Instruction, type Stage } from './dockerfile.ts';
export { operands, pairs, words, type Variables } from './dockerfile-words.ts';
export { commandOf as shellCommand, CONFIG_CHANGES, DEFAULT_SHELL } from './dockerfile-config.ts';
export { historyStep, nop } from './dockerfile-history.ts';
export { dockerignore } from './dockerignore.ts';
export { glob } from './glob.ts';
export { downloadFile, isAddress } from './download-file.ts';
export { digestOfCopies, findCopies, type Copies, type CopyRequest } from './copy-files.ts';
export { mountAll, unmountAll, openMounts, type Mount } from './mounts.ts';
export type { SnapshotInfo, SnapshotKind, Snapshotter, Usage } from './snapshotter.ts';
export { overlayfsSnapshotter } from './overlay-snapshotter.ts';
export { nativeSnapshotter } from './native-snapshotter.ts';
export { btrfsSnapshotter } from './btrfs-snapshotter.ts';
export { tarHeader, type TarHeader, type TarType } from './tar-header.ts';
export { readTar, writeTar, type TarEntry, type TarInput } from './tar.ts';
export { decodeName, encodeName, fsPath, readNames } from './file-names.ts';
export { openDirectory, openParent, pathParts } from './in-root.ts';
export { getXattr, listXattrs, setXattr } from './xattr.ts';
export { isOpaque, isWhiteout, makeOpaque, makeWhiteout } from './whiteout.ts';
export { compressionOf, decompress } from './compression.ts';
export { applyLayer, type AppliedLayer, type ApplyOptions } from './apply-layer.ts';
export { layersOf, type LayerStack } from './layer-stack.ts';
export { overlayView, type OverlayView, type Shown } from './overlay-view.ts';
export { changedTree, compareTrees } from './compare-trees.ts';
export { changesOf, type Change } from './changes.ts';
export { diffLayer, treeEntries } from './diff-layer.ts';
export { findBusybox, isStaticElf, makeBaseImage } from './base-image.ts';
export { saveArchive, type ArchivedImage } from './save-archive.ts';
export { loadArchive, readArchive, type LoadedImage } from './load-archive.ts';
export { unpackImage } from './unpack.ts';
export { startRegistry, type LocalRegistry, type RegistrySetup } from './demo-registry.ts';
