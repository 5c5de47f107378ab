/** Which of a container's outputs: 1 standard output, 2 standard error; 3 is the daemon's own voice, for errors. */
export type StreamNumber = 1 | 2 | 3;

const HEADER_BYTES = 8;

/**
 * Two streams in one: puts Docker's header before what one of them brought, `[stream, 0, 0, 0, length as 32 bits big endian]`.
 * With a terminal there is one stream alone, and no header.
 * Source: Engine API, ContainerAttach, "Stream format".
 */
export function frame(stream: StreamNumber, data: Uint8Array): Buffer {
  //#gap 07.1 frame
  const framed = Buffer.alloc(HEADER_BYTES + data.length);
  framed.writeUInt8(stream, 0);
  framed.writeUInt32BE(data.length, 4);
  framed.set(data, HEADER_BYTES);
  return framed;
  //#end
}
