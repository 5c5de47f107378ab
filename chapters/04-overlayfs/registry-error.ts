import { STATUS_CODES } from 'node:http';
import { printable } from './errors.ts';

/** A registry's answer "no". Source: distribution-spec, "Error Codes". */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  /** HTTP status; 200 when the answer itself is not what it should be. */
  readonly status: number;
  /** The registry's own word for it: `MANIFEST_UNKNOWN`, `UNAUTHORIZED`, …; empty if it said none. */
  readonly code: string;
  /** How long it asks to be left alone, in milliseconds. */
  readonly retryAfter: number | undefined;
  /** What it said: the message without what it is about. */
  readonly said: string;

  constructor(
    status: number,
    message: string,
    {
      code = '',
      retryAfter,
      said = message,
    }: { code?: string; retryAfter?: number | undefined; said?: string } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    this.said = said;
  }
}

/** No answer, or one that broke off: worth another try. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';

  constructor(what: string, cause: unknown) {
    super(
      `${what}: ${cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : String(cause)}`,
      { cause },
    );
  }
}

/**
 * What a registry says when it refuses: `{"errors": [{"code", "message", "detail"}]}`, or anything.
 * @param retryAfter seconds, or a date: RFC 9110, section 10.2.3
 */
export function refusal(what: string, status: number, body: string, retryAfter?: string): RegistryError {
  const { code, message } = complaint(body);
  const wait = delayOf(retryAfter);
  const word = code.toLowerCase().replaceAll('_', ' ');
  const text = [word, printable(message)].filter(Boolean).join(': ') || STATUS_TEXT[status];
  const advice = wait ? ` (it asks to be left alone for ${Math.ceil(wait / 1000)} s)` : '';
  const said = `${text ?? `received unexpected HTTP status: ${status} ${STATUS_CODES[status] ?? ''}`.trim()}${advice}`;
  return new RegistryError(status, `${what}: ${said}`, { code, retryAfter: wait, said });
}

/** The first of a registry's errors; empty texts where there is none. Proxies answer with pages, and others with what they like. */
function complaint(body: string): { code: string; message: string } {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  try {
    const { errors, details } = JSON.parse(body) as { errors?: unknown; details?: unknown };
    const first = ((Array.isArray(errors) && (errors[0] as unknown)) || {}) as Record<string, unknown>;
    const code = text(first['code']);
    return { code: /^\w{1,100}$/.test(code) ? code : '', message: text(first['message']) || text(details) };
  } catch {
    return { code: '', message: '' };
  }
}

/** Milliseconds from now; `undefined` for what is neither seconds nor a date to come. */
function delayOf(header = ''): number | undefined {
  if (/^\d{1,9}$/.test(header)) return Number(header) * 1000;
  const left = Date.parse(header) - Date.now();
  return /[a-z]/i.test(header) && left > 0 ? left : undefined;
}

/** For registries that say nothing themselves: Docker's words, where it has some. */
const STATUS_TEXT: Record<number, string> = {
  401: 'unauthorized: authentication required',
  403: 'denied: requested access to the resource is denied',
  404: 'not found',
  413: 'larger than the registry, or a proxy before it, takes (HTTP status 413)',
  429: 'toomanyrequests: too many requests',
};

/** Whether the same request may succeed later: nobody answered, or the registry is in trouble. */
export const isPassing = (error: unknown): boolean =>
  error instanceof Unreachable ||
  (error instanceof RegistryError && (error.status === 429 || error.status >= 500));
