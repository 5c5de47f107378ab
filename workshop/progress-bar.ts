import chalk from 'chalk';

const WIDTH = 30;

/**
 * How far something is that takes longer than a second: a bar on a terminal, nothing elsewhere. Lines that are printed while it is
 * shown go through `print`.
 */
export function progressBar(all: number, to: NodeJS.WriteStream = process.stderr) {
  let shown = false;
  const clear = (): void => {
    if (shown) to.write('\r\x1b[K');
    shown = false;
  };
  return {
    at(done: number, what: string): void {
      if (!to.isTTY) return;
      const full = Math.round((Math.min(done, all) / all) * WIDTH);
      const bar = `${chalk.green('█'.repeat(full))}${'░'.repeat(WIDTH - full)}`;
      to.write(`\r\x1b[K${bar} ${done} of ${all}  ${what.slice(0, 30)}`);
      shown = true;
    },
    print(line: string): void {
      clear();
      console.log(line);
    },
    end: clear,
  };
}
