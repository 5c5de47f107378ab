import { setTimeout as sleep } from 'node:timers/promises';
import { encode, toTimestamp } from './protobuf.ts';
import {
  forwardServiceType,
  NAMESPACE_METADATA,
  shimProtos,
  type Envelope,
  type ForwardService,
} from './task-api.ts';
import { CODE, connectTtrpc, TtrpcError, type TtrpcConnection } from './ttrpc.ts';

/** The topic of each event; the message is `containerd.events.` and its name. */
export const TOPICS = {
  TaskCreate: '/tasks/create',
  TaskStart: '/tasks/start',
  TaskExit: '/tasks/exit',
  TaskDelete: '/tasks/delete',
  TaskOOM: '/tasks/oom',
  TaskExecAdded: '/tasks/exec-added',
  TaskExecStarted: '/tasks/exec-started',
  TaskPaused: '/tasks/paused',
  TaskResumed: '/tasks/resumed',
} as const;

export interface EventForwarder {
  /** Puts an event at the end of the queue. */
  publish(name: keyof typeof TOPICS, event: object): void;
  /** Waits until the queue is empty, at most so many milliseconds. */
  flush(limit: number): Promise<void>;
}

/**
 * Hands events to containerd one at a time, the next after the answer to the one before: requests that are under way together may
 * be handled in any order, and a daemon that learns of an exit before the start thinks for ever that the container runs.
 * While containerd is away (it may be restarted under running containers) events wait.
 * @param address where containerd serves ttrpc (TTRPC_ADDRESS)
 */
export function forwardEvents(
  address: string,
  namespace: string,
  log: (text: string) => void,
): EventForwarder {
  const queue: Envelope[] = [];
  let connection: TtrpcConnection | undefined;
  let sending: Promise<void> | undefined;

  const send = async (envelope: Envelope): Promise<void> => {
    connection ??= await connectTtrpc(address);
    const metadata = { [NAMESPACE_METADATA]: namespace };
    const events = connection.client<ForwardService>(forwardServiceType(), { metadata });
    await events.forward({ envelope }, { timeout: 10_000 });
  };
  const sendAll = async (): Promise<void> => {
    for (let pause = 20; queue.length > 0;) {
      try {
        await send(queue[0]!);
        queue.shift();
        pause = 20;
      } catch (error) {
        if (isRefusal(error)) {
          log(`event ${queue.shift()?.topic} was refused: ${(error as Error).message}`);
          continue;
        }
        connection?.close();
        connection = undefined;
        await sleep(pause);
        pause = Math.min(pause * 2, 1000);
      }
    }
  };

  return {
    publish: (name, event) => {
      const typeUrl = `containerd.events.${name}`;
      const value = encode(shimProtos().lookupType(typeUrl), event);
      queue.push({
        timestamp: toTimestamp(new Date()),
        namespace,
        topic: TOPICS[name],
        event: { typeUrl, value },
      });
      sending ??= sendAll().finally(() => (sending = undefined));
    },
    flush: async (limit) => {
      const end = Date.now() + limit;
      while (queue.length > 0 && Date.now() < end) await sleep(5);
    },
  };
}

/** Whether containerd answered, and said no: to try again would say the same again. */
const isRefusal = (error: unknown): boolean =>
  error instanceof TtrpcError && error.code !== CODE.UNAVAILABLE && error.code !== CODE.DEADLINE_EXCEEDED;
