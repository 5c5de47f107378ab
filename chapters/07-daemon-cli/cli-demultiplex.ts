/** What a container says without a terminal: which of its two outputs, and the bytes. */
export interface OutputFrame {
  stream: 'stdout' | 'stderr';
  data: Buffer;
}

const HEADER_BYTES = 8;

/**
 * Takes Docker's framing apart. On the wire every piece has a header of 8 bytes, `[stream, 0, 0, 0, length as 32-bit big
 * endian]`, where stream is 1 for stdout, 2 for stderr, 3 for an error of the daemon itself. Headers and payloads are cut
 * anywhere by the transport. A payload is given on as it comes in, not first collected: a frame may be large.
 * Source: Engine API, ContainerAttach.
 * @throws Error when a header names no stream, when the stream ends inside a frame, or when the daemon reports an error in it
 */
export async function* demultiplex(chunks: AsyncIterable<Buffer>): AsyncIterable<OutputFrame> {
  //#gap 07.2 demultiplex
  let rest: Buffer = Buffer.alloc(0);
  let stream: number | undefined;
  let left = 0;
  const trouble: Buffer[] = [];
  for await (const chunk of chunks) {
    rest = rest.length ? Buffer.concat([rest, chunk]) : chunk;
    for (;;) {
      if (stream === undefined) {
        if (rest.length < HEADER_BYTES) break;
        stream = rest[0]!;
        left = rest.readUInt32BE(4);
        rest = rest.subarray(HEADER_BYTES);
        if (stream > 3) throw new Error(`unrecognized stream ${stream} in the container's output`);
      }
      const data = rest.subarray(0, left);
      rest = rest.subarray(data.length);
      left -= data.length;
      if (stream === 3) trouble.push(data);
      else if (data.length) yield { stream: stream === 2 ? 'stderr' : 'stdout', data };
      if (left > 0) break;
      if (stream === 3) throw new Error(`error from daemon in stream: ${Buffer.concat(trouble).toString()}`);
      stream = undefined;
    }
  }
  if (stream !== undefined || rest.length)
    throw new Error('the connection to the daemon ended in the middle of a frame of output');
  //#end
}
