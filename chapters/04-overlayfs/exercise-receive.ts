import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomBytes } from 'node:crypto';
import { expectSame, expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { openContentStore } from './content-store.ts';
import { digestOf } from './digest.ts';
import { fetchBlob } from './fetch-blob.ts';
import { withRepository, type Repository } from './registry.ts';

export const receiving: Exercise = {
  gap: '04.7',
  task: 'Receive a blob over one connection, from where the writer stands.',
  hints: [
    'The writer knows how many bytes it has. What is missing is the rest: ask for that, and be ready for a server that sends it all.',
    'RFC 9110, section 14: the header `Range: bytes=N-`; the answer is 206 with `Content-Range: bytes N-…`, or 200 from the first byte on.',
    'offset = writer.status().offset; send(…, offset > 0 ? {Range} : {}); `await beginningOf(answer, …)` says where the body begins: not at offset, writer.truncate(0); for each piece of inPieces(answer.body, what): more than size in all: dataLoss; writer.write, progressed(), onBytes; fewer at the end: throw Unreachable.',
  ],
  check: checkReceive,
  wrong: [
    {
      mistake: 'asks for everything again and appends it',
      code: `const answer = await send(\`/v2/\${path}/blobs/\${digest}\`, { method: 'GET' }, true);
if (answer.status !== 200) throw await refused(answer, digest);
for await (const piece of inPieces(answer.body, what)) {
  await writer.write(piece);
  progressed();
  onBytes?.(writer.status().offset);
}
if (writer.status().offset < size) throw new Unreachable(digest, new Error('cut'));`,
      diagnosis: 'Range',
    },
    {
      mistake: 'does not look whether the range was honoured',
      code: `const { offset } = writer.status();
const headers = offset > 0 ? { Range: \`bytes=\${offset}-\` } : {};
const answer = await send(\`/v2/\${path}/blobs/\${digest}\`, { method: 'GET', headers }, true);
if (answer.status !== 200 && answer.status !== 206) throw await refused(answer, digest);
let at = offset;
for await (const piece of inPieces(answer.body, what)) {
  at += piece.length;
  if (answer.status === 206 && at > size) throw dataLoss('larger than announced');
  if (offset === 0 && at > size) throw dataLoss('larger than announced');
  await writer.write(piece);
  progressed();
  onBytes?.(at);
}
if (at < size) throw new Unreachable(digest, new Error('cut'));`,
      diagnosis: 'knows no ranges',
    },
    {
      mistake: 'takes as much as comes',
      code: `let { offset } = writer.status();
const headers = offset > 0 ? { Range: \`bytes=\${offset}-\` } : {};
const answer = await send(\`/v2/\${path}/blobs/\${digest}\`, { method: 'GET', headers }, true);
if (answer.status !== 200 && answer.status !== 206) throw await refused(answer, digest);
if (answer.status === 200) {
  await writer.truncate(0);
  offset = 0;
}
for await (const piece of inPieces(answer.body, what)) {
  await writer.write(piece);
  offset += piece.length;
  progressed();
  onBytes?.(offset);
}
if (offset < size) throw new Unreachable(digest, new Error('cut'));`,
      diagnosis: 'more than it announced',
    },
  ],
};

async function checkReceive(t: Trial): Promise<void> {
  const blob = randomBytes(t.number(300_000, 600_000));
  const had = t.number(1000, 200_000);
  const asked: (string | undefined)[] = [];
  let mode: 'ranges' | 'whole' | 'endless' = 'ranges';
  const server = createServer((request, response) => {
    if (!request.url!.includes('/blobs/')) return void response.end('{}');
    asked.push(request.headers.range);
    const from = mode === 'ranges' ? Number(/\d+/.exec(request.headers.range ?? '0')![0]) : 0;
    response.writeHead(
      from > 0 ? 206 : 200,
      from > 0 ? { 'Content-Range': `bytes ${from}-${blob.length - 1}/${blob.length}` } : {},
    );
    response.end(mode === 'endless' ? Buffer.concat([blob, Buffer.alloc(blob.length)]) : blob.subarray(from));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const domain = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    await withRepository({ domain, path: t.word() }, 'pull', { pause: 1, tries: 2 }, (repository) =>
      judge(t, repository, { blob, had, asked, set: (next) => (mode = next) }),
    );
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function judge(
  t: Trial,
  repository: Repository,
  {
    blob,
    had,
    asked,
    set,
  }: {
    blob: Buffer;
    had: number;
    asked: (string | undefined)[];
    set: (mode: 'ranges' | 'whole' | 'endless') => void;
  },
): Promise<void> {
  const digest = digestOf(blob);
  const fetchAfter = async (start: number): Promise<string> => {
    const content = await openContentStore(t.folder());
    const writer = await content.writer(`blob-${digest}`, { expected: digest, total: blob.length });
    if (start > 0) await writer.write(blob.subarray(0, start));
    await writer.close();
    asked.length = 0;
    try {
      await fetchBlob(repository, content, { digest, size: blob.length });
      return digestOf(await content.readAll(digest));
    } catch (error) {
      if ((error as Error).name === 'NotImplemented') throw error;
      return String(error);
    }
  };
  expectSame(
    'a blob that was not there at all',
    digest,
    await fetchAfter(0),
    'Write every piece that comes.',
  );
  const resumed = await fetchAfter(had);
  expectSame(
    'what was asked of the registry',
    [`bytes=${had}-`],
    asked.slice(0, 1),
    'Ask for what is missing alone: the header Range.',
  );
  expectSame('the blob of which a part was there', digest, resumed, 'Append what comes to what is there.');
  set('whole');
  expectSame(
    'the same from a server that sends everything all the same',
    digest,
    await fetchAfter(had),
    'It knows no ranges: status 200 is the whole blob. Throw away what is there (truncate) and begin anew.',
  );
  set('endless');
  const outcome = await fetchAfter(0);
  expectThat(
    /larger than|announced/.test(outcome) && !/verification/.test(outcome),
    'an error at the first byte too many',
    outcome,
    'The registry sends more than it announced: stop, or a disk is full before the digest is compared.',
  );
}
