import { expectSame, type Exercise, type Trial } from '../01-processes/index.ts';
import { parseChallenges } from './registry-auth.ts';

export const challenges: Exercise = {
  gap: '04.6',
  task: 'Read from WWW-Authenticate what a registry wants.',
  hints: [
    'A comma separates parameters, and it separates challenges, and it may stand between quotes. So splitting at commas cannot work.',
    'RFC 9110, section 11.6.1: a word alone is a scheme, and begins a challenge; `word=value` or `word="value"` is a parameter of the last.',
    'One sticky regular expression in a loop: /\\s*,?\\s*(TOKEN)(?:\\s*=\\s*("(?:[^"\\\\]|\\\\.)*"|[^\\s,"]+))?/gy. Names are compared without case, so make them small; a quoted value loses its quotes and backslashes.',
  ],
  check: checkChallenges,
  wrong: [
    {
      mistake: 'splits at every comma',
      code: `const [, scheme = '', rest = ''] = /^(\\S+)\\s*(.*)$/.exec(header) ?? [];
if (scheme === '') return [];
const parameters = Object.fromEntries(rest.split(',').map((part) => {
  const [name = '', value = ''] = part.split('=');
  return [name.trim().toLowerCase(), value.replace(/"/g, '')];
}));
return [{ scheme: scheme.toLowerCase(), parameters }];`,
      diagnosis: 'comma between quotes',
    },
    {
      mistake: 'knows one challenge only',
      code: `const [, scheme = '', rest = ''] = /^(\\S+)\\s*(.*)$/.exec(header) ?? [];
if (scheme === '') return [];
const parameters: Record<string, string> = {};
for (const [, name, quoted, bare] of rest.matchAll(/([\\w-]+)=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]+))/g))
  parameters[name!.toLowerCase()] = quoted?.replace(/\\\\(.)/g, '$1') ?? bare!;
return [{ scheme: scheme.toLowerCase(), parameters }];`,
      diagnosis: 'several challenges',
    },
    {
      mistake: 'takes case for a difference',
      code: `const challenges: Challenge[] = [];
const token = /\\s*,?\\s*([\\w-]+)(?:\\s*=\\s*("(?:[^"\\\\]|\\\\.)*"|[^\\s,"]+))?/gy;
for (let match = token.exec(header); match; match = token.exec(header)) {
  const [, word, value] = match;
  if (value === undefined) challenges.push({ scheme: word!, parameters: {} });
  else challenges.at(-1)!.parameters[word!] = value.replace(/^"|"$/g, '').replace(/\\\\(.)/g, '$1');
}
return challenges;`,
      diagnosis: 'small letters',
    },
  ],
};

function checkChallenges(t: Trial): void {
  const [realm, service] = [`https://${t.word()}.example/token`, t.word()];
  const bearer = (scope: string) => ({ scheme: 'bearer', parameters: { realm, service, scope } });
  const said = (scope: string): string => `bearer realm="${realm}",service="${service}",scope="${scope}"`;
  const repository = `repository:${t.word()}`;
  expectSame(
    'one challenge',
    [bearer(`${repository}:pull`)],
    parseChallenges(said(`${repository}:pull`)),
    'A word alone is the scheme; name="value" is a parameter, without its quotes.',
  );
  expectSame(
    'a scope that wants two actions',
    [bearer(`${repository}:pull,push`)],
    parseChallenges(said(`${repository}:pull,push`)),
    'A comma between quotes separates nothing.',
  );
  expectSame(
    'two challenges',
    [bearer(`${repository}:pull`), { scheme: 'basic', parameters: { realm: service } }],
    parseChallenges(`${said(`${repository}:pull`)}, basic realm=${service}`),
    'A header may hold several challenges: each scheme begins a new one.',
  );
  expectSame(
    'capitals',
    [{ scheme: 'bearer', parameters: { realm } }],
    parseChallenges(`BEARER Realm="${realm}"`),
    'Schemes and names of parameters are the same in capitals: give them in small letters.',
  );
  expectSame('nothing', [], parseChallenges(''), 'No header, no challenge.');
}
