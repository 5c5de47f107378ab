import { writeSync } from 'node:fs';
import { knownCapabilities } from '../01-processes/index.ts';
import { MOUNT_OPTIONS, PROPAGATION_OPTIONS, RECURSIVE_OPTIONS } from '../02-namespaces/index.ts';
import { ACTIONS, ARCHITECTURES, OPERATORS, SECCOMP_FLAGS } from './seccomp.ts';
import { HOOK_KINDS, NAMESPACE_TYPES, OCI_VERSION } from './spec.ts';
import type { Run } from './verbs.ts';

/** `features`: what this runtime can do. Source: runtime-spec, features.md. */
export const run: Run = () => {
  const tables = [MOUNT_OPTIONS, PROPAGATION_OPTIONS, RECURSIVE_OPTIONS];
  const features = {
    ociVersionMin: '1.0.0',
    ociVersionMax: OCI_VERSION,
    hooks: HOOK_KINDS,
    mountOptions: [...tables.flatMap((table) => Object.keys(table)), 'tmpcopyup', 'idmap', 'ridmap'].sort(),
    linux: {
      namespaces: Object.keys(NAMESPACE_TYPES).sort(),
      capabilities: knownCapabilities(),
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: true },
      seccomp: {
        enabled: true,
        actions: Object.keys(ACTIONS).sort(),
        operators: Object.keys(OPERATORS).sort(),
        archs: Object.keys(ARCHITECTURES).sort(),
        knownFlags: SECCOMP_FLAGS,
        supportedFlags: SECCOMP_FLAGS,
      },
      apparmor: { enabled: true },
      selinux: { enabled: false },
      intelRdt: { enabled: false },
      mountExtensions: { idmap: { enabled: true } },
    },
  };
  writeSync(1, `${JSON.stringify(features, null, 4)}\n`);
};
