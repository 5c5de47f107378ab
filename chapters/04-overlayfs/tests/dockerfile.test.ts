import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  CONFIG_CHANGES,
  dockerignore,
  findCopies,
  glob,
  historyStep,
  nop,
  parseDockerfile,
  words,
  type ContainerDefaults,
  type Instruction,
} from '../index.ts';
import { scratch } from './scratch.ts';

const only = (text: string) => parseDockerfile(`FROM x\n${text}`).stages[0]!.instructions;
const configOf = (text: string): ContainerDefaults =>
  only(text).reduce<ContainerDefaults>(
    (config, each) => CONFIG_CHANGES[each.name]!(config, each, new Map([['V', 'value']]), '\\'),
    {},
  );

describe('a Dockerfile', () => {
  test('is read line by line, continuations joined, comments between them left out', () => {
    const { args, stages } = parseDockerfile(
      '# c\nARG A=1\nfrom a:1 as One\nrun x \\\n  # c\n\n  y\nFROM one\n',
    );
    expect(args.map(({ text }) => text)).toEqual(['A=1']);
    expect(stages).toMatchObject([
      { base: 'a:1', name: 'one', instructions: [{ name: 'RUN', text: 'x   y', line: 4 }] },
      { base: 'one', name: undefined, instructions: [] },
    ]);
  });

  test('may have another escape character', () => {
    const { stages } = parseDockerfile('# escape=`\nFROM x\nRUN a `\n  b\nRUN c\\');
    expect(stages[0]!.instructions.map(({ text }) => text)).toEqual(['a   b', 'c\\']);
  });

  test('has flags, and lists in JSON’s form; what merely looks like one is text', () => {
    expect(only('COPY --from=a --chown=1:2 ["a b", "/c"]')).toMatchObject([
      { flags: { from: ['a'], chown: ['1:2'] }, list: ['a b', '/c'] },
    ]);
    expect(only("CMD ['a']")).toMatchObject([{ list: undefined, text: "['a']" }]);
  });

  test.each([
    ['', 'has no FROM'],
    ['RUN x', 'no build stage in current context: RUN'],
    ['FROM a b', 'FROM takes an image'],
    ['FROM a AS 1x', 'invalid name for build stage: "1x"'],
    ['FROM x\nFOO', 'parse error on line 2: unknown instruction: FOO'],
    ['FROM x\nCMD', 'CMD requires at least one argument'],
    ['FROM x\nCOPY --link a b', 'COPY --link needs BuildKit'],
    ['FROM x\nUSER --a b', 'unknown flag: USER --a'],
    ['FROM x\nRUN <<EOF\nx\nEOF', 'here-document needs BuildKit'],
    ['# escape=x\nFROM x', 'invalid escape "x"'],
  ])('%j is refused: %s', (text, message) => {
    expect(() => parseDockerfile(text)).toThrow(message);
  });
});

describe('words', () => {
  const variables = new Map([
    ['a', '1'],
    ['empty', ''],
    ['sp', 'x y'],
  ]);
  const cut = (text: string, split = true): string[] =>
    words(text, variables, { escape: '\\', line: 1, split });

  test.each([
    ['$a ${a}b $none.', ['1', '1b', '.']],
    ['${none:-d} ${empty:-d} ${a:-d} ${a:+i} ${none:+i}', ['d', 'd', '1', 'i']],
    ['${none:-${a}x}', ['1x']],
    [`'$a' "$a" \\$a "\\$a" "a b"`, ['$a', '1', '$a', '$a', 'a b']],
    ['$sp', ['x y']],
    ['a\\ b', ['a b']],
    ['""', ['']],
    ['$', ['$']],
  ])('%s', (text, expected) => {
    expect(cut(text)).toEqual(expected);
  });

  test.each(["'a", '"a', '${a', '${a!b}', '${none:?must be}'])('%s is refused', (text) => {
    expect(() => cut(text)).toThrow('line 1');
  });

  test('variables within variables end somewhere', () => {
    const nested = (depth: number): string => `${'${none:-'.repeat(depth)}x${'}'.repeat(depth)}`;
    expect(cut(nested(100))).toEqual(['x']);
    expect(() => cut(nested(20_000))).toThrow('line 1: variables within variables, more than 100 deep');
  });
});

describe('instructions that change the configuration', () => {
  test('are Docker’s', () => {
    expect(configOf('ENV a=1 b="2 3"\nENV c 4 $V\nENV a=$V')).toEqual({
      Env: ['a=value', 'b=2 3', 'c=4 value'],
    });
    expect(configOf('CMD a\nENTRYPOINT ["b"]')).toEqual({ Cmd: null, Entrypoint: ['b'] });
    expect(configOf('SHELL ["s","-x"]\nCMD a b')).toMatchObject({ Cmd: ['s', '-x', 'a b'] });
    expect(configOf('WORKDIR /a\nWORKDIR b/../c/')).toEqual({ WorkingDir: '/a/c' });
    expect(configOf('EXPOSE 80 90-91/UDP')).toEqual({
      ExposedPorts: { '80/tcp': {}, '90/udp': {}, '91/udp': {} },
    });
    expect(configOf('VOLUME /a /b\nUSER a:b\nSTOPSIGNAL 9')).toEqual({
      Volumes: { '/a': {}, '/b': {} },
      User: 'a:b',
      StopSignal: '9',
    });
    expect(configOf('HEALTHCHECK --interval=1m30s CMD ["a"]')).toEqual({
      Healthcheck: { Test: ['CMD', 'a'], Interval: 90e9 },
    });
    expect(configOf('HEALTHCHECK NONE\nONBUILD RUN x')).toEqual({
      Healthcheck: { Test: ['NONE'] },
      OnBuild: ['RUN x'],
    });
  });

  test.each([
    'EXPOSE 0',
    'EXPOSE 2-1',
    'EXPOSE x',
    'ENV a',
    'LABEL =x',
    'SHELL a',
    'USER a b',
    'HEALTHCHECK x',
    'HEALTHCHECK --timeout=x CMD y',
    'STOPSIGNAL !',
    'ONBUILD FROM x',
  ])('%s is refused, with its line', (text) => {
    expect(() => configOf(text)).toThrow('line 2');
  });
});

describe('the line of history', () => {
  const lineOf = (text: string, base: ContainerDefaults = {}): string => {
    const [instruction] = only(text) as [Instruction];
    const variables = new Map([['V', 'value']]);
    const after = CONFIG_CHANGES[instruction.name]!(base, instruction, variables, '\\');
    return nop(after, historyStep(instruction, after, variables, '\\')).join(' ');
  };

  // As dockerd 20.10's classic builder wrote them.
  test.each([
    ['ENV a=1 b="2 $V"', '/bin/sh -c #(nop)  ENV a=1 b=2 value'],
    ['ENV OLD the rest', '/bin/sh -c #(nop)  ENV OLD=the rest'],
    ['LABEL one=1 two="2 2"', '/bin/sh -c #(nop)  LABEL one=1 two=2 2'],
    ['CMD echo hi', '/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "echo hi"]'],
    ['ENTRYPOINT ["/x", "y"]', '/bin/sh -c #(nop)  ENTRYPOINT ["/x" "y"]'],
    ['SHELL ["/bin/sh", "-ec"]', '/bin/sh -ec #(nop)  SHELL [/bin/sh -ec]'],
    ['VOLUME /b /a', '/bin/sh -c #(nop)  VOLUME [/b /a]'],
    ['EXPOSE 80 53/udp', '/bin/sh -c #(nop)  EXPOSE 53/udp 80'],
    ['WORKDIR $V', '/bin/sh -c #(nop) WORKDIR /value'],
    ['USER 1000:1000', '/bin/sh -c #(nop)  USER 1000:1000'],
    ['STOPSIGNAL SIGUSR1', '/bin/sh -c #(nop)  STOPSIGNAL SIGUSR1'],
    ['ONBUILD RUN echo', '/bin/sh -c #(nop)  ONBUILD RUN echo'],
    [
      'HEALTHCHECK --interval=5s --retries=2 CMD true',
      `/bin/sh -c #(nop)  HEALTHCHECK &{["CMD-SHELL" "true"] "5s" "0s" "0s" '\\x02'}`,
    ],
    [
      'HEALTHCHECK --interval=1h1m1.5s --timeout=90s --start-period=250ms CMD ["a"]',
      `/bin/sh -c #(nop)  HEALTHCHECK &{["CMD" "a"] "1h1m1.5s" "1m30s" "250ms" '\\x00'}`,
    ],
  ])('%s', (text, line) => {
    expect(lineOf(text)).toBe(line);
  });

  test('is another for another entrypoint, also where a command was forgotten with the old one', () => {
    const base = { Cmd: ['sh'] };
    expect(lineOf('ENTRYPOINT ["/a"]', base)).not.toBe(lineOf('ENTRYPOINT ["/b"]', base));
  });
});

describe('.dockerignore', () => {
  test.each([
    ['a', ['a', 'a/b'], ['b/a', 'ab']],
    ['*/a', ['x/a', 'x/a/y'], ['a', 'x/y/a']],
    ['**/a', ['a', 'x/a', 'x/y/a'], ['xa']],
    ['*.md\n!keep.md', ['x.md'], ['keep.md', 'a/x.md']],
    ['# no\n\n/a/ \n', ['a'], ['# no']],
    ['a?[bc]', ['axb'], ['axd', 'a/b']],
    ['**', ['a', 'a/b'], []],
    ['../a', ['a'], ['b']],
  ])('%j', (text, ignored, kept) => {
    const is = dockerignore(text);
    expect([ignored.filter((path) => !is(path)), kept.filter(is)]).toEqual([[], []]);
  });
});

describe('a pattern', () => {
  test.each([
    ['a*c', ['ac', 'abc'], ['a/c', 'abcd']],
    ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['ab', 'a/xb']],
    ['a/**', ['a/', 'a/b/c'], ['a']],
    ['[a-c]', ['a', 'b', 'c'], ['d', '-']],
    ['[^a-c]x', ['dx'], ['ax', 'x']],
    ['[z-a]', [], ['a', 'm', 'z']],
    ['[\\]-a]', [']', '^', 'a'], ['[']],
    ['[a', ['[a'], ['a']],
    ['a\\*', ['a*'], ['ab']],
    ['(.+)$', ['(.+)$'], ['x']],
    ['?', ['x', '\u{1F600}'], ['', '/', 'xy']],
  ])('%j', (pattern, fitting, others) => {
    const fits = glob(pattern);
    expect([fitting.filter((text) => !fits(text)), others.filter(fits)]).toEqual([[], []]);
  });

  test('of any number of stars comes to an end', () => {
    expect(glob('*a'.repeat(60))('a'.repeat(250) + 'b')).toBe(false);
    expect(glob('**/a'.repeat(60))(`${'a/'.repeat(120)}b`)).toBe(false);
    expect(glob('**'.repeat(1000))('x'.repeat(1000))).toBe(true);
  });
});

describe('COPY', () => {
  const names = (sources: string[], destination: string, intoDirectory = false): string[] => {
    const root = scratch();
    mkdirSync(join(root, 'd', 'e'), { recursive: true });
    for (const path of ['a.txt', 'b.txt', 'd/c', 'd/e/f']) writeFileSync(join(root, path), path);
    symlinkSync('a.txt', join(root, 'link'));
    symlinkSync('/etc', join(root, 'out'));
    const copies = findCopies({ root, sources, destination, intoDirectory });
    copies.close();
    return copies.entries.map(({ header }) => `${header.name}${header.type === 'symlink' ? '@' : ''}`);
  };

  test('copies a file, a directory’s content, what patterns find, and what a link leads to', () => {
    expect(names(['a.txt'], '/x')).toEqual(['x']);
    expect(names(['a.txt'], '/x/')).toEqual(['x/a.txt']);
    expect(names(['a.txt'], '/x', true)).toEqual(['x/a.txt']);
    expect(names(['d'], '/x')).toEqual(['x/c', 'x/e/', 'x/e/f']);
    expect(names(['*.txt', 'd/c'], '/x/')).toEqual(['x/a.txt', 'x/b.txt', 'x/c']);
    expect(names(['link'], '/')).toEqual(['link']);
  });

  test('refuses what is not there, what is outside, and several without a directory', () => {
    for (const source of ['none', '*.md', 'out/passwd', '../../etc/passwd'])
      expect(() => names([source], '/x')).toThrow('COPY failed');
    expect(() => names(['a.txt', 'b.txt'], '/x')).toThrow('must be a directory');
  });
});
