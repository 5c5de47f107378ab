export { DEFAULT_PATH, OCI_VERSION, READ_ONLY_PATHS, defaultSpec, rootlessSpec } from './spec.ts';
export type {
  OciSpec,
  OciProcess,
  OciUser,
  OciCapabilities,
  OciMount,
  OciHook,
  OciHooks,
  OciNamespace,
  OciDevice,
  OciLinux,
  OciSeccomp,
  OciIdMapping,
} from './spec.ts';
export { ConfigError } from './config-checks.ts';
export { validateSpec, validateProcess } from './validate.ts';
export type { OciState, Status } from './state.ts';
export { runCommandLine } from './cli.ts';
