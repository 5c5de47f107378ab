import { writeSync } from 'node:fs';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type Logger = (level: LogLevel, message: string) => void;

/** A log on standard error, in containerd's form; lines below `least` are left out. */
export function stderrLogger(least: LogLevel): Logger {
  return (level, message) => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
    try {
      writeSync(2, `time="${new Date().toISOString()}" level=${level} msg=${JSON.stringify(message)}\n`);
    } catch {
      // Whoever read our log is gone: that is no reason to end.
    }
  };
}
