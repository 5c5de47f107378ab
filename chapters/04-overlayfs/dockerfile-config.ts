import { posix } from 'node:path';
import { bad, jsonList, type Instruction } from './dockerfile.ts';
import { operands, pairs, words, type Variables } from './dockerfile-words.ts';
import type { ContainerDefaults, Healthcheck } from './image.ts';

/** What runs a command that is written as text. */
export const DEFAULT_SHELL = ['/bin/sh', '-c'];

type Change = (
  config: ContainerDefaults,
  instruction: Instruction,
  variables: Variables,
  escape: string,
) => ContainerDefaults;

/**
 * The instructions that change an image's configuration alone, and no file. WORKDIR is among them; that its directory is made is the
 * builder's affair.
 */
export const CONFIG_CHANGES: Readonly<Record<string, Change>> = {
  ENV: (config, instruction, variables, escape) => {
    const env = new Map((config.Env ?? []).map((entry) => [entry.slice(0, entry.indexOf('=')), entry]));
    for (const [name, value] of pairs(instruction, variables, escape)) env.set(name, `${name}=${value}`);
    return { ...config, Env: [...env.values()] };
  },
  LABEL: (config, instruction, variables, escape) => ({
    ...config,
    Labels: { ...config.Labels, ...Object.fromEntries(pairs(instruction, variables, escape)) },
  }),
  // A command of its own forgets the one that came with the base image's entrypoint.
  CMD: (config, instruction) => ({ ...config, Cmd: commandOf(config, instruction) }),
  ENTRYPOINT: (config, instruction) => ({ ...config, Entrypoint: commandOf(config, instruction), Cmd: null }),
  SHELL: (config, { list, line }) => {
    if (!list?.length) bad(line, 'SHELL requires the arguments to be in JSON form');
    return { ...config, Shell: list! };
  },
  USER: (config, { text, line }, variables, escape) => {
    const [user, more] = words(text, variables, { escape, line });
    if (!user || more !== undefined) bad(line, 'USER takes one argument: USER[:GROUP]');
    return { ...config, User: user! };
  },
  WORKDIR: (config, { text, line }, variables, escape) => {
    const path = words(text, variables, { escape, line, split: false }).join('');
    return {
      ...config,
      WorkingDir: posix.resolve('/', config.WorkingDir || '/', path).replace(/(.)\/$/, '$1'),
    };
  },
  EXPOSE: (config, instruction, variables, escape) => {
    const ports = operands(instruction, variables, escape).flatMap((word) => portsOf(word, instruction.line));
    return {
      ...config,
      ExposedPorts: { ...config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) },
    };
  },
  VOLUME: (config, instruction, variables, escape) => {
    const places = operands(instruction, variables, escape);
    if (places.some((place) => place.trim() === ''))
      bad(instruction.line, 'VOLUME specified can not be an empty string');
    return {
      ...config,
      Volumes: { ...config.Volumes, ...Object.fromEntries(places.map((place) => [place, {}])) },
    };
  },
  STOPSIGNAL: (config, { text, line }, variables, escape) => {
    const signal = words(text, variables, { escape, line }).join(' ');
    if (!/^(SIG)?[A-Z]+[A-Z0-9+-]*$|^\d+$/i.test(signal))
      bad(line, `invalid signal ${JSON.stringify(signal)}`);
    return { ...config, StopSignal: signal };
  },
  HEALTHCHECK: (config, instruction) => ({ ...config, Healthcheck: healthcheck(config, instruction) }),
  ONBUILD: (config, { text, line }) => {
    if (/^\s*(ONBUILD|FROM|MAINTAINER)\b/i.test(text))
      bad(line, `${text.split(/\s/)[0]} isn't allowed as an ONBUILD trigger`);
    return { ...config, OnBuild: [...(config.OnBuild ?? []), text] };
  },
};

/** A command as it is run: the list that was written, or the text behind a shell. */
export function commandOf(
  { Shell }: ContainerDefaults,
  { list, text }: Pick<Instruction, 'list' | 'text'>,
): string[] {
  return list ?? [...(Shell ?? DEFAULT_SHELL), text];
}

function portsOf(word: string, line: number): string[] {
  const [, from, to, protocol = 'tcp'] = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/i.exec(word) ?? [];
  const [first, last] = [Number(from), Number(to ?? from)];
  if (from === undefined || last < first || last > 65535 || first === 0)
    bad(line, `Invalid containerPort: ${word}: give PORT[-PORT][/tcp|udp|sctp]`);
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${protocol.toLowerCase()}`);
}

const UNITS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** `1m30s`, in nanoseconds. */
function duration(text: string, flag: string, line: number): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.map(([all]) => all).join('') !== text || text === '')
    bad(line, `HEALTHCHECK --${flag}=${text}: give a time such as 30s or 1m30s`);
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit!]!, 0);
}

function healthcheck(config: ContainerDefaults, { text, flags, line }: Instruction): Healthcheck {
  const [, kind = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(text) ?? [];
  if (kind.toUpperCase() === 'NONE' && rest === '') return { Test: ['NONE'] };
  if (kind.toUpperCase() !== 'CMD' || rest === '')
    bad(line, `Unknown type ${JSON.stringify(kind.toUpperCase())} in HEALTHCHECK (try CMD)`);
  const time = (flag: string): number => (flags[flag] ? duration(flags[flag].at(-1)!, flag, line) : 0);
  const retries = flags['retries']?.at(-1) ?? '0';
  if (!/^\d+$/.test(retries)) bad(line, `HEALTHCHECK --retries=${retries}: give a whole number`);
  const list = jsonList(rest);
  const times = {
    Interval: time('interval'),
    Timeout: time('timeout'),
    StartPeriod: time('start-period'),
    StartInterval: time('start-interval'),
  };
  return {
    Test: list ? ['CMD', ...list] : ['CMD-SHELL', rest],
    ...Object.fromEntries(Object.entries(times).filter(([, value]) => value > 0)),
    ...(Number(retries) > 0 && { Retries: Number(retries) }),
  };
}
