import { release } from 'node:os';
import type { Capability } from '../01-processes/index.ts';
import type { OciSeccomp } from '../05-runtime/index.ts';
import { badParameter } from './api-error.ts';
import type { HostConfig } from './container.ts';
import { defaultSeccomp } from './seccomp-profile.ts';

/** A rule of a profile file: one of the specification's, and on which condition it holds. */
type ProfileRule = NonNullable<OciSeccomp['syscalls']>[number] & {
  /** The old spelling of one name. */
  name?: string;
  includes?: Condition;
  excludes?: Condition;
};
interface Condition {
  caps?: string[];
  arches?: string[];
  /** `4.8` */
  minKernel?: string;
}

/** Docker's format of a profile: config.json's, with rules that hold for some containers only. Source: docs.docker.com, "Seccomp security profiles". */
interface Profile extends Omit<OciSeccomp, 'syscalls'> {
  archMap?: { architecture: string; subArchitectures?: string[] | null }[] | null;
  syscalls?: ProfileRule[] | null;
}

/** What Go, and so Docker, calls the machines. */
const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const SECCOMP_ARCH: Readonly<Record<string, string>> = {
  x64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
};

/**
 * The filter of a container: Docker's default, unless `--security-opt seccomp=` says `unconfined` or brings a profile of its own, or
 * the container is privileged.
 * @param capabilities its bounding set: some calls are allowed with the capability they need
 * @throws ApiError 400 for a profile that is no JSON object, or has no default action
 */
export function seccompOf(host: HostConfig, capabilities: readonly Capability[]): OciSeccomp | undefined {
  const option = (host.SecurityOpt ?? []).findLast((each) => /^seccomp[=:]/.test(each));
  const value = option?.slice('seccomp='.length);
  if (value === 'unconfined') return undefined;
  if (value !== undefined && value !== 'builtin') return ofProfile(parseProfile(value), capabilities);
  return host.Privileged ? undefined : defaultSeccomp(capabilities);
}

function parseProfile(text: string): Profile {
  let profile: unknown;
  try {
    profile = JSON.parse(text);
  } catch (error) {
    throw badParameter(`Decoding seccomp profile failed: ${(error as Error).message}`, error);
  }
  if (typeof profile !== 'object' || profile === null || Array.isArray(profile))
    throw badParameter('Decoding seccomp profile failed: a profile is a JSON object');
  if (typeof (profile as Profile).defaultAction !== 'string')
    throw badParameter('Decoding seccomp profile failed: defaultAction is missing: SCMP_ACT_ERRNO, say');
  return profile as Profile;
}

function ofProfile(profile: Profile, capabilities: readonly Capability[]): OciSeccomp {
  const { archMap, syscalls, architectures, defaultAction, defaultErrnoRet, flags } = profile;
  if (archMap?.length && architectures?.length)
    throw badParameter(
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either one",
    );
  const own = archMap?.find(({ architecture }) => architecture === SECCOMP_ARCH[process.arch]);
  const machines = own ? [own.architecture, ...(own.subArchitectures ?? [])] : architectures;
  const holds = ({ includes, excludes }: ProfileRule): boolean =>
    (!includes || matches(includes, capabilities, 'every')) &&
    (!excludes || !matches(excludes, capabilities, 'some'));
  return {
    defaultAction,
    ...(defaultErrnoRet !== undefined && { defaultErrnoRet }),
    ...(machines && { architectures: machines }),
    ...(flags && { flags }),
    syscalls: (syscalls ?? []).filter(holds).map(({ name, names, action, errnoRet, args }) => ({
      names: names?.length ? names : name === undefined ? [] : [name],
      action,
      ...(errnoRet !== undefined && { errnoRet }),
      ...(args?.length && { args }),
    })),
  };
}

/** A rule is taken when all that it includes is there, and left out when something that it excludes is. */
function matches(
  { caps, arches, minKernel }: Condition,
  capabilities: readonly Capability[],
  how: 'every' | 'some',
): boolean {
  const asked = [
    ...(arches?.length ? [arches.includes(GO_ARCH[process.arch] ?? process.arch)] : []),
    ...(caps ?? []).map((name) => capabilities.includes(name as Capability)),
    ...(minKernel ? [isAtLeast(minKernel)] : []),
  ];
  return how === 'every' ? asked.every(Boolean) : asked.some(Boolean);
}

function isAtLeast(wanted: string): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
