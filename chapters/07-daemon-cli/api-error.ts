/** A refusal, as the Engine API says it: an HTTP status, and `{"message": …}`. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** 400: what was asked cannot be meant. */
export const badParameter = (message: string, cause?: unknown): ApiError =>
  new ApiError(400, message, cause === undefined ? {} : { cause });
/** 404 */
export const notFound = (message: string): ApiError => new ApiError(404, message);
/** 409: it cannot be done while things are as they are. */
export const conflict = (message: string): ApiError => new ApiError(409, message);
/** 501: Docker can do it, this engine cannot. */
export const notImplemented = (message: string): ApiError => new ApiError(501, message);
/** 304: nothing to do; not an error for the client. */
export const notModified = (): ApiError => new ApiError(304, '');

/** Whether an error is an answer with this status. */
export const isApiError = (error: unknown, status: number): boolean =>
  error instanceof ApiError && error.status === status;
