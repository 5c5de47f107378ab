import { refusal } from './registry-error.ts';
import { readBody, type HttpAnswer } from './registry-http.ts';

/** What a registry says when it refuses is short. Bytes. */
const LIMIT = 1 << 20;

/** The refusal that an answer is, also when what it says with it is too long, or breaks off. */
export async function refused(answer: HttpAnswer, what: string): Promise<Error> {
  const text = await readBody(answer, LIMIT).then(String, () => '');
  return refusal(what, answer.status, text, answer.headers['retry-after']);
}

/** An answer with one of the statuses that are wanted; its body is thrown away. @throws RegistryError for others */
export async function checked(
  sending: Promise<HttpAnswer>,
  what: string,
  wanted: readonly number[],
): Promise<HttpAnswer> {
  const answer = await sending;
  if (!wanted.includes(answer.status)) throw await refused(answer, what);
  answer.body.resume();
  return answer;
}

/** The digest that a registry says its manifest has; `undefined` if it says none, or one of a kind that is not ours. */
export function announcedDigest({ headers }: HttpAnswer): string | undefined {
  const header = String(headers['docker-content-digest'] ?? '');
  return header.startsWith('sha256:') ? header : undefined;
}
