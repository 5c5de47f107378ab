import { createHash } from 'node:crypto';
import { expectSame, expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { chainIds } from './image.ts';

export const chainIdentity: Exercise = {
  gap: '04.3',
  task: 'Name each layer together with all that lie below it.',
  hints: [
    'The same tar on another base is another view. The name has to depend on everything below, but one step at a time.',
    'OCI image-spec, config.md, "Layer ChainID": ChainID(L0|...|Ln) = Digest(ChainID(L0|...|Ln-1) + " " + DiffID(Ln)).',
    'The first is the diffID as it is. Each next one: digestOf(`${chain.at(-1)} ${diffId}`).',
  ],
  check: checkChainIds,
  wrong: [
    {
      mistake: 'hashes the first layer too',
      code: `const chain: Digest[] = [];
for (const diffId of diffIds) chain.push(digestOf(chain.length ? \`\${chain.at(-1)} \${diffId}\` : diffId));
return chain;`,
      diagnosis: 'first layer',
    },
    {
      mistake: 'takes the diffID below, not the chain ID',
      code: `return diffIds.map((diffId, i) => (i === 0 ? diffId : digestOf(\`\${diffIds[i - 1]} \${diffId}\`)));`,
      diagnosis: 'only the layer just below',
    },
    {
      mistake: 'joins them without a space',
      code: `const chain: Digest[] = [];
for (const diffId of diffIds) chain.push(chain.length ? digestOf(\`\${chain.at(-1)}\${diffId}\`) : diffId);
return chain;`,
      diagnosis: 'space',
    },
  ],
};

function checkChainIds(t: Trial): void {
  const sha256 = (text: string): `sha256:${string}` =>
    `sha256:${createHash('sha256').update(text).digest('hex')}`;
  const [a, b, c] = [sha256(t.word()), sha256(t.word()), sha256(t.word())];
  const ab = sha256(`${a} ${b}`);
  const [first, second, third] = chainIds([a, b, c]);
  expectSame('the name of one layer', a, first, 'The name of the first layer is its diffID, as it is.');
  expectThat(
    second !== sha256(`${a}${b}`),
    ab,
    second,
    'There is a space between the chain ID and the diffID.',
  );
  expectSame('the name of two layers', ab, second, 'The digest of "CHAIN_ID_BELOW DIFF_ID".');
  const cause =
    third === sha256(`${b} ${c}`)
      ? 'It says only the layer just below. Take the chain ID below, which stands for all of them.'
      : 'The digest of "CHAIN_ID_BELOW DIFF_ID".';
  expectSame('the name of three layers', sha256(`${ab} ${c}`), third, cause);
  expectSame('the names of no layers', [], chainIds([]), 'No layers, no names.');
}
