/** How a call can end. Source: gRPC's status codes, which ttrpc shares. */
export const CODES = {
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
} as const;

export type CodeName = keyof typeof CODES;

/** A call that was answered with an error: what servers throw, and what clients get. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  /** The status code's number. */
  readonly code: number;

  constructor(code: CodeName | number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = typeof code === 'number' ? code : CODES[code];
  }
}

/** Whether an error is an answer of one of these kinds: `isGrpcError(error, 'NotFound')`. ttrpc's errors count too. */
export function isGrpcError(error: unknown, ...names: CodeName[]): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return names.some((name) => CODES[name] === error.code);
}

/** The name of a code, as containerd writes it: `NotFound`. */
export function codeName(code: number): string {
  return Object.entries(CODES).find(([, number]) => number === code)?.[0] ?? `Code(${code})`;
}
