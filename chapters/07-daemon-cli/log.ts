const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LEVELS)[number];

let lowest: LogLevel = 'info';

/** From here on only this level and the graver ones are written. */
export function setLogLevel(level: LogLevel): void {
  lowest = level;
}

/** Writes one line to standard error, as daemons do: whoever started the daemon decides where it goes. */
export function log(level: LogLevel, message: string, error?: unknown): void {
  if (LEVELS.indexOf(level) < LEVELS.indexOf(lowest)) return;
  const reason = error === undefined ? '' : `: ${describe(error)}`;
  process.stderr.write(`${new Date().toISOString()} ${level} ${message}${reason}\n`);
}

/** An error and its causes on one line; with debug on, the stack too. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (lowest === 'debug' && error.stack) return error.stack;
  return explain(error);
}

/** `message: cause's message: …`, each said once. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refusal over gRPC has the library's own words as its cause: the same once more.
  if (error.name === 'GrpcError') return error.message;
  const cause = error.cause === undefined ? '' : explain(error.cause);
  return cause && !error.message.includes(cause) ? `${error.message}: ${cause}` : error.message;
}
