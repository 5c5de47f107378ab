/** Cases in which myrunc is known to differ from runc, each with its reason. */
const DIFFERENCES: readonly { file: string; name: RegExp; reason: string }[] = [
  {
    file: 'checkpoint.bats',
    name: /./,
    reason: 'myrunc does not work with CRIU',
  },
  {
    file: 'cgroups.bats',
    name: /should error for a non-empty cgroup/,
    reason: 'as runc 1.1 myrunc shares such a cgroup with a warning, and never ends those in it',
  },
  {
    file: 'spec.bats',
    name: /spec validator/,
    reason: 'it clones the specification, which takes a network',
  },
];

/** Why a case is known to differ; undefined for one that is to be as runc's. */
export function differenceOf(file: string, name: string): string | undefined {
  return DIFFERENCES.find((each) => each.file === file && each.name.test(name))?.reason;
}
