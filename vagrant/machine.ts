/** What a machine is told to do, one after the other: a line of its plan. */
export interface Step {
  /** Also the name of its report: `suites`. */
  name: string;
  /** For bash, in the checkout. A step with a report writes it to "$REPORT". */
  command: string;
  /** Whether it is a run of vitest, whose report is counted: one without tests, or with a skipped one, has failed. */
  vitest: boolean;
  /** What names it on the command line. */
  words: readonly string[];
}

/** What a boot gets from the host. */
export interface Boot {
  /** The repository. */
  checkout: string;
  /** The one folder that can be written: with `disk`, `reports`, `steps` and `environment`. */
  work: string;
  /** What else the kernel's command line says. */
  kernel: readonly string[];
}

/** A way to boot a kernel here. */
export interface Machine {
  name: string;
  /** A Debian package that is not here, by a file of it that is missing; undefined when all are. */
  missing(): string | undefined;
  /** What steps find in their environment besides. */
  environment?: Readonly<Record<string, string>>;
  /** The command that runs the machine to its end, with its console as standard output. May write what it needs into `work`. */
  command(boot: Boot): string[];
}

/** The words on the kernel's command line that guest-init.sh reads. A path with a quote in it cannot be said there. @throws Error then */
export function guestWords(boot: Boot, machine: string, disk: string, reports: string): string[] {
  const words = { CHECKOUT: boot.checkout, WORK: boot.work, DISK: disk, REPORTS: reports, MACHINE: machine };
  return Object.entries(words).map(([name, value]) => {
    if (value.includes('"')) throw new Error(`${value}: a kernel's command line cannot hold a path with a "`);
    return `${name}="${value}"`;
  });
}
