/** What a frame carries. Data frames belong to streaming calls, which shims of containerd do not make. */
export const FRAME = { REQUEST: 1, RESPONSE: 2, DATA: 3 } as const;

export interface Frame {
  /** Which call: the client numbers its calls 1, 3, 5 …; the answer has the number of the call. */
  stream: number;
  type: number;
  flags: number;
  payload: Uint8Array;
}

/** length u32, stream u32 (both big endian), type u8, flags u8 */
const HEADER_BYTES = 10;
/** The longest payload allowed. */
export const MAX_PAYLOAD = 4 << 20;

//#region encodeFrame
/**
 * A frame as it goes over the wire: ten bytes of header, then the payload.
 * Source: containerd/ttrpc PROTOCOL.md.
 * @throws RangeError when the payload is longer than 4 MiB
 */
export function encodeFrame({ stream, type, flags, payload }: Frame): Buffer {
  if (payload.length > MAX_PAYLOAD)
    throw new RangeError(`ttrpc: message of ${payload.length} bytes: at most ${MAX_PAYLOAD} are allowed`);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt32BE(stream, 4);
  frame.writeUInt8(type, 8);
  frame.writeUInt8(flags, 9);
  frame.set(payload, HEADER_BYTES);
  return frame;
}
//#endregion

/**
 * Cuts a stream of bytes into frames. A socket hands over what has arrived, which may be half a header or three frames: give
 * every piece to the function that this returns; it returns the frames that are whole by now.
 * @throws RangeError when a header announces more than 4 MiB
 */
export function frameDecoder(): (chunk: Uint8Array) => Frame[] {
  //#gap 06.4 frameDecoder
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    const frames: Frame[] = [];
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32BE(0);
      if (length > MAX_PAYLOAD)
        throw new RangeError(`ttrpc: message of ${length} bytes: at most ${MAX_PAYLOAD} are allowed`);
      if (rest.length < HEADER_BYTES + length) break;
      frames.push({
        stream: rest.readUInt32BE(4),
        type: rest.readUInt8(8),
        flags: rest.readUInt8(9),
        payload: rest.subarray(HEADER_BYTES, HEADER_BYTES + length),
      });
      rest = rest.subarray(HEADER_BYTES + length);
    }
    return frames;
  };
  //#end
}
