import { readFileSync } from 'node:fs';
import { openContentStore, parseReference, pullImage, pushImage } from '../index.ts';

// Pulls one image, pushes it under another name, and says how much memory this process has taken up at its peak, in MB.
const [dir, from, to] = process.argv.slice(2) as [string, string, string];
const content = await openContentStore(dir);
const { target } = await pullImage(content, parseReference(from));
await pushImage(content, target, parseReference(to));
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))![1]!;
console.log(Math.round(Number(peak) / 1024));
