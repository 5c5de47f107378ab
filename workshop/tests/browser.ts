import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

/** One page of a browser, spoken to by the DevTools protocol. https://chromedevtools.github.io/devtools-protocol/ */
export interface Browser {
  /** Opens an address, and waits until everything on it is loaded. */
  open(url: string): Promise<void>;
  /** The value of an expression in the page; a promise is waited for. */
  value<T>(expression: string): Promise<T>;
  call(method: string, params?: object): Promise<Record<string, unknown>>;
  /** A window of so many pixels; below 600 it is a phone. */
  size(width: number, height?: number): Promise<void>;
  press(key: string): Promise<void>;
  /** What the pages said that is amiss: exceptions, errors on the console, files that did not load. */
  problems: string[];
  /** Every address that was asked for. */
  requests: string[];
  close(): Promise<void>;
}

// prettier-ignore
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--remote-debugging-pipe'];

/** Starts Debian's Chromium. It listens on no port: the protocol goes over descriptors 3 and 4. */
export async function browser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'browser-'));
  const child = spawn('chromium', [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    detached: true, // its helpers are ended with it, as a group
  });
  const [to, from] = [child.stdio[3] as Writable, child.stdio[4] as Readable];
  await once(child, 'spawn');
  const waiting = new Map<number, (answer: Answer) => void>();
  const problems: string[] = [];
  const requests: string[] = [];
  /** The documents that have loaded, by the id of their loader: a page that was left may still load late. */
  const loaded = new Set<string>();
  let awaited: () => void = () => undefined;
  let rest = '';
  from.on('data', (data: Buffer) => {
    const messages = (rest + data.toString()).split('\0');
    rest = messages.pop()!;
    for (const text of messages) hear(JSON.parse(text) as Answer & { method?: string; params?: never });
  });

  function hear(message: Answer & { method?: string; params?: Params }): void {
    const { id, method, params } = message;
    if (id !== undefined) waiting.get(id)?.(message);
    if (method === 'Page.lifecycleEvent' && params!.name === 'load') {
      loaded.add(params!.loaderId!);
      awaited();
    }
    if (method === 'Network.requestWillBeSent') requests.push(params!.request!.url);
    if (method === 'Runtime.exceptionThrown') problems.push(JSON.stringify(params!.exceptionDetails));
    if (method === 'Log.entryAdded' && params!.entry!.level === 'error')
      problems.push(`${params!.entry!.text} ${params!.entry!.url ?? ''}`);
    if (method === 'Runtime.consoleAPICalled' && params!.type === 'error')
      problems.push(JSON.stringify(params!.args));
  }

  let last = 0;
  const session: { sessionId?: string } = {};
  const call = async (method: string, params: object = {}): Promise<Record<string, unknown>> => {
    const id = ++last;
    const answer = new Promise<Answer>((resolve) => waiting.set(id, resolve));
    to.write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    const { result, error } = await answer;
    waiting.delete(id);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  };
  const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
  session.sessionId = (await call('Target.attachToTarget', { targetId, flatten: true }))[
    'sessionId'
  ] as string;
  for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await call(`${domain}.enable`);
  await call('Page.setLifecycleEventsEnabled', { enabled: true });

  return {
    call,
    problems,
    requests,
    open: async (url) => {
      const { errorText, loaderId } = await call('Page.navigate', { url });
      if (errorText) throw new Error(`${url}: ${String(errorText)}`);
      // An address that differs by its fragment alone loads nothing, and has no loader.
      while (loaderId && !loaded.has(loaderId as string))
        await new Promise<void>((resolve) => (awaited = resolve));
    },
    value: async <T>(expression: string) => {
      const { result, exceptionDetails } = await call('Runtime.evaluate', {
        expression,
        returnByValue: true,
        awaitPromise: true,
      });
      if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
      return (result as { value: T }).value;
    },
    size: async (width, height = 800) =>
      void (await call('Emulation.setDeviceMetricsOverride', {
        width,
        height,
        deviceScaleFactor: 1,
        mobile: width < 600,
      })),
    press: async (key) => {
      const text = key.length === 1 ? { text: key } : {};
      await call('Input.dispatchKeyEvent', { type: 'keyDown', key, ...text });
      await call('Input.dispatchKeyEvent', { type: 'keyUp', key });
    },
    close: async () => {
      const closed = once(child, 'close');
      process.kill(-child.pid!, 'SIGKILL');
      await closed;
      rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

interface Answer {
  id?: number;
  result?: Record<string, unknown>;
  error?: { message: string };
}

interface Params {
  request?: { url: string };
  name?: string;
  loaderId?: string;
  exceptionDetails?: object;
  entry?: { level: string; text: string; url?: string };
  type?: string;
  args?: object[];
}
