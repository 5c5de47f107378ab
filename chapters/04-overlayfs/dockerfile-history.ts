import type { Instruction } from './dockerfile.ts';
import { DEFAULT_SHELL } from './dockerfile-config.ts';
import { operands, pairs, type Variables } from './dockerfile-words.ts';
import type { ContainerDefaults, Healthcheck } from './image.ts';

/**
 * The line of history that an instruction leaves which runs no command, in words: the shell of the moment, a mark that it did nothing,
 * and what was meant. The cache of a build knows steps by it.
 */
export const nop = ({ Shell }: ContainerDefaults, step: string): string[] => [
  ...(Shell ?? DEFAULT_SHELL),
  ...(step.startsWith(' ') ? ['#(nop) ', step.slice(1)] : [`#(nop) ${step}`]),
];

/**
 * What an instruction that changes the configuration says of itself, with its variables filled in: as Docker writes it, in Go's ways of
 * printing. Two instructions that do something else say something else.
 * Source: moby, builder/dockerfile/dispatchers.go.
 * @param after the configuration that it has made
 */
export function historyStep(
  instruction: Instruction,
  after: ContainerDefaults,
  variables: Variables,
  escape: string,
): string {
  const { name, text } = instruction;
  const given = (): string[] => operands(instruction, variables, escape);
  const named = (): string =>
    pairs(instruction, variables, escape)
      .map(([key, value]) => `${key}=${value}`)
      .join(' ');
  const steps: Record<string, () => string> = {
    ENV: named,
    LABEL: named,
    CMD: () => quotedList(after.Cmd),
    ENTRYPOINT: () => quotedList(after.Entrypoint),
    SHELL: () => `[${(after.Shell ?? []).join(' ')}]`,
    VOLUME: () => `[${given().join(' ')}]`,
    EXPOSE: () => given().sort().join(' '),
    USER: () => after.User ?? '',
    STOPSIGNAL: () => after.StopSignal ?? '',
    HEALTHCHECK: () => healthcheck(after.Healthcheck ?? { Test: [] }),
    ONBUILD: () => text,
  };
  // One space less: so it is in Docker.
  if (name === 'WORKDIR') return `WORKDIR ${after.WorkingDir ?? ''}`;
  return ` ${name} ${steps[name]?.() ?? text}`;
}

/** Go's `%q` of a list of texts. */
const quotedList = (list: readonly string[] | null | undefined): string =>
  `[${(list ?? []).map((item) => JSON.stringify(item)).join(' ')}]`;

/** Go's `%q` of the structure, a number of tries as a character included. */
function healthcheck({ Test, Interval, Timeout, StartPeriod, Retries = 0 }: Healthcheck): string {
  const times = [Interval, Timeout, StartPeriod].map((time = 0) => `"${duration(time)}"`);
  return `&{${quotedList(Test)} ${times.join(' ')} '${character(Retries)}'}`;
}

/** `1m30s`, `500ms`, `0s`: Go's Duration.String. @param nanoseconds a whole number */
export function duration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  for (const [unit, size] of [
    ['ns', 1],
    ['µs', 1e3],
    ['ms', 1e6],
  ] as const)
    // prettier-ignore
    if (nanoseconds < size * 1000) return `${nanoseconds / size}${unit}`;
  const seconds = nanoseconds / 1e9;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = `${Number((seconds % 60).toFixed(9))}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}

const ESCAPES: Record<number, string> = { 7: 'a', 8: 'b', 9: 't', 10: 'n', 11: 'v', 12: 'f', 13: 'r', 39: "'", 92: '\\' }; // prettier-ignore

function character(code: number): string {
  if (ESCAPES[code] !== undefined) return `\\${ESCAPES[code]}`;
  if (code < 32 || code === 127) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
}
