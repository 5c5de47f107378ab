/** Bytes go to the disk in pieces of at least this size, however small they come: each write is a trip to another thread and back. */
export const PIECE = 1 << 20;

/** Larger pieces of small ones. What came before an error is given before the error. */
export async function* gathered(source: AsyncIterable<Uint8Array>, size = PIECE): AsyncGenerator<Buffer> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  let failure: { error: unknown } | undefined;
  try {
    for await (const piece of source) {
      pieces.push(piece);
      length += piece.length;
      if (length < size) continue;
      const full = Buffer.concat(pieces);
      [pieces, length] = [[], 0];
      yield full;
    }
  } catch (error) {
    failure = { error };
  }
  if (length > 0) yield Buffer.concat(pieces);
  if (failure) throw failure.error;
}
