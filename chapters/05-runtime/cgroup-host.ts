import { detectCgroups, type CgroupHost } from '../03-cgroups/index.ts';

let known: CgroupHost | undefined;

/**
 * How this machine lays out its cgroups, asked of the kernel once: that is settled when the machine starts, and one `create` wants to know it five times. A container's
 * first process has it from the runtime, which asked before the fork.
 * @throws Error when no cgroup file system is mounted
 */
export const cgroupHost = (): CgroupHost => (known ??= detectCgroups());
