import { declare } from '../01-processes/index.ts';

// A named pipe, which Node cannot make: mkfifo(3)
export const c_mkfifo = declare<(pathname: string, mode: number) => number>(
  'int mkfifo(const char *pathname, unsigned int mode)',
);
