import { appendFileSync, writeSync } from 'node:fs';

/** Where and how a runtime says what happened, as its callers asked by --log, --log-format and --debug. */
export interface Log {
  /** A file or fifo to append to; standard error without one. */
  file?: string;
  format: 'text' | 'json';
  debug: boolean;
}

export type Level = 'debug' | 'info' | 'warning' | 'error';

/** One line as logrus writes it: containerd, dockerd, podman and conmon read these. */
export function logLine(format: Log['format'], level: Level, message: string, time = new Date()): string {
  const stamp = time.toISOString().replace(/\.\d+Z$/, 'Z');
  if (format === 'json') return `${JSON.stringify({ level, msg: message, time: stamp })}\n`;
  return `time="${stamp}" level=${level} msg=${JSON.stringify(message)}\n`;
}

/** Says something. A log that cannot be written keeps nobody from working. */
export function log({ file, format, debug }: Log, level: Level, message: string): void {
  if (level === 'debug' && !debug) return;
  const line = logLine(format, level, message);
  try {
    if (file === undefined || file === '') writeSync(2, line);
    else appendFileSync(file, line);
  } catch {
    // nowhere to say it
  }
}

/** Says why a command failed: in the log, and for the person, on standard error too. */
export function logFailure(to: Log, message: string): void {
  log(to, 'error', message);
  if (to.file) writeSync(2, `${message}\n`);
}
