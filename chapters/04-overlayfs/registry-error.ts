/** A registry's answer "no". Source: distribution-spec, "Error Codes". */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  /** HTTP status; 200 when the answer itself is not what it should be. */
  readonly status: number;
  /** The registry's own word for it: `MANIFEST_UNKNOWN`, `UNAUTHORIZED`, …; empty if it said none. */
  readonly code: string;
  /** How long it asks to be left alone, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    message: string,
    { code = '', retryAfter }: { code?: string; retryAfter?: number | undefined } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
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

/** What a registry says when it refuses: `{"errors": [{"code", "message", "detail"}]}`, or anything. */
export function refusal(what: string, status: number, body: string, retryAfter?: string): RegistryError {
  let [code, message] = ['', ''];
  try {
    const { errors, details } = JSON.parse(body) as {
      errors?: { code?: string; message?: string }[];
      details?: string;
    };
    code = errors?.[0]?.code ?? '';
    message = errors?.[0]?.message ?? details ?? '';
  } catch {
    // Proxies answer with pages.
  }
  const seconds = /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) : undefined;
  const text = message || STATUS_TEXT[status] || `HTTP status ${status}`;
  return new RegistryError(
    status,
    `${what}: ${code ? `${code.toLowerCase().replaceAll('_', ' ')}: ` : ''}${text}`,
    {
      code,
      retryAfter: seconds === undefined ? undefined : seconds * 1000,
    },
  );
}

const STATUS_TEXT: Record<number, string> = {
  401: 'authentication required',
  403: 'access denied',
  404: 'not found',
  429: 'too many requests',
};

/** Whether the same request may succeed later: nobody answered, or the registry is in trouble. */
export const isPassing = (error: unknown): boolean =>
  error instanceof Unreachable ||
  (error instanceof RegistryError && (error.status === 429 || error.status >= 500));
