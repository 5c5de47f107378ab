import type { ServerResponse } from 'node:http';
import type { Progress } from '../04-overlayfs/index.ts';
import type { Call } from './call.ts';
import { explain } from './log.ts';

/** JSON lines that tell a client how long work goes on: Docker's jsonmessage. */
export interface ProgressStream {
  /** One line as it is. The first begins the answer, with status 200. */
  say(line: object): void;
  report(progress: Progress): void;
}

/**
 * Does long work, telling the client of it. Work that fails before it has said anything is refused with a status; later the last line
 * says what went wrong, since the status has been sent.
 */
export async function withProgress(
  call: Call,
  work: (stream: ProgressStream) => Promise<void>,
): Promise<void> {
  let answer: ServerResponse | undefined;
  const say = (line: object): void => {
    answer ??= call.stream(200, 'application/json');
    answer.write(`${JSON.stringify(line)}\r\n`);
  };
  const report = ({ id, status, current, total }: Progress): void =>
    say({
      status,
      ...(current === undefined ? {} : { progressDetail: { current, total } }),
      ...(id !== undefined && { id }),
    });
  try {
    await work({ say, report });
  } catch (error) {
    if (!answer) throw error;
    const message = explain(error);
    say({ errorDetail: { message }, error: message });
  }
  (answer ?? call.stream(200, 'application/json')).end();
}
