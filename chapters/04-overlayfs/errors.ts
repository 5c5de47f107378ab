/** What kind of refusal it is, by the names of gRPC's status codes: over the wire it becomes `status[error.code]`. */
export type StoreErrorCode =
  'NOT_FOUND' | 'ALREADY_EXISTS' | 'FAILED_PRECONDITION' | 'INVALID_ARGUMENT' | 'UNAVAILABLE' | 'DATA_LOSS';

/** A store's answer "no": the thing is missing, is there already, is in use, or is not what it claims to be. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  /** The kind; the names are those of gRPC's status codes. */
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export const notFound = (what: string): StoreError => new StoreError('NOT_FOUND', `${what}: not found`);
export const alreadyExists = (what: string): StoreError =>
  new StoreError('ALREADY_EXISTS', `${what}: already exists`);
export const failedPrecondition = (why: string): StoreError => new StoreError('FAILED_PRECONDITION', why);
export const invalidArgument = (why: string, cause?: unknown): StoreError =>
  new StoreError('INVALID_ARGUMENT', why, cause === undefined ? {} : { cause });
export const dataLoss = (why: string, cause?: unknown): StoreError =>
  new StoreError('DATA_LOSS', why, cause === undefined ? {} : { cause });

/** Whether `error` is a StoreError of one of these kinds. */
export function isStoreError(error: unknown, ...codes: StoreErrorCode[]): error is StoreError {
  return error instanceof StoreError && (codes.length === 0 || codes.includes(error.code));
}

/** Text from outside, as it is shown in a message: quoted, and cut where it is longer than anyone reads. */
export function quoted(text: string): string {
  return text.length <= LONGEST ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, LONGEST))}…`;
}

/** The same in the middle of a message, without quotes. What would move a terminal's cursor, or change its colours, is left out. */
export function printable(text: string): string {
  const plain = text.replace(/\p{C}+/gu, ' ').trim();
  return plain.length <= LONGEST ? plain : `${plain.slice(0, LONGEST)}…`;
}

const LONGEST = 300;
