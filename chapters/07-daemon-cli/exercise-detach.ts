import { expectSame, expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { detachFilter } from './terminal.ts';

export const detaching: Exercise = {
  gap: '07.4',
  task: 'Find the detach keys in what is typed, and send on everything else.',
  hints: [
    'Ctrl-P alone is a key like any other. Whether it begins the sequence is known only with the next key, which comes in another call.',
    'What must be remembered between two calls is how many keys of the sequence have matched: they are the ones that were held back.',
    'For each byte: if it is keys[matched], matched += 1, and at keys.length return { send, detached: true }. Else send the held back keys.slice(0, matched), matched = 0, and look whether this byte is keys[0].',
  ],
  check: checkDetach,
  wrong: [
    {
      mistake: 'looks for the sequence in each piece alone',
      code: `return (typed) => {
  const at = keys.length ? typed.indexOf(Buffer.from(keys)) : -1;
  return at === -1 ? { send: typed, detached: false } : { send: typed.subarray(0, at), detached: true };
};`,
      diagnosis: 'one by one',
    },
    {
      mistake: 'swallows a key that began nothing',
      code: `let matched = 0;
return (typed) => {
  const send: number[] = [];
  for (const byte of typed) {
    if (keys.length && byte === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return { send: Buffer.from(send), detached: true };
      continue;
    }
    matched = keys.length && byte === keys[0] ? 1 : 0;
    if (matched === 0) send.push(byte);
  }
  return { send: Buffer.from(send), detached: false };
};`,
      diagnosis: 'was held back',
    },
    {
      mistake: 'does not see that the next key begins the sequence again',
      code: `let matched = 0;
return (typed) => {
  const send: number[] = [];
  for (const byte of typed) {
    if (keys.length && byte === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return { send: Buffer.from(send), detached: true };
      continue;
    }
    send.push(...keys.slice(0, matched), byte);
    matched = 0;
  }
  return { send: Buffer.from(send), detached: false };
};`,
      diagnosis: 'may itself begin',
    },
    {
      mistake: 'sends the first key at once',
      code: `let matched = 0;
return (typed) => {
  const send: number[] = [];
  for (const byte of typed) {
    matched = keys.length && byte === keys[matched] ? matched + 1 : keys.length && byte === keys[0] ? 1 : 0;
    if (keys.length && matched === keys.length) return { send: Buffer.from(send), detached: true };
    send.push(byte);
  }
  return { send: Buffer.from(send), detached: false };
};`,
      diagnosis: 'Hold it back',
    },
    {
      mistake: 'loses what was typed before the sequence',
      code: `let matched = 0;
return (typed) => {
  const send: number[] = [];
  for (const byte of typed) {
    if (keys.length && byte === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return { send: Buffer.alloc(0), detached: true };
      continue;
    }
    send.push(...keys.slice(0, matched));
    matched = 0;
    if (keys.length && byte === keys[0]) matched = 1;
    else send.push(byte);
  }
  return { send: Buffer.from(send), detached: false };
};`,
      diagnosis: 'before the sequence',
    },
  ],
};

function checkDetach(t: Trial): void {
  const a = t.number(1, 15);
  const b = t.number(16, 31);
  const [one, two] = [t.word(), t.word()];
  const key = (...bytes: number[]): Buffer => Buffer.from(bytes);
  /** What is sent on of these pieces, one by one, and whether the last one detached. */
  const typed = (pieces: readonly (Buffer | string)[], keys: readonly number[] = [a, b]): object => {
    const filter = detachFilter(keys);
    const sent = pieces.map((piece) => filter(Buffer.from(piece)));
    return { sent: sent.map(({ send }) => send.toString('latin1')), detached: sent.at(-1)!.detached };
  };
  const text = (...bytes: number[]): string => key(...bytes).toString('latin1');
  const sequence = `the keys ${a}, ${b}`;
  expectSame(
    'what is typed without them',
    { sent: [one, two], detached: false },
    typed([one, two]),
    'Send it.',
  );
  const apart = typed([key(a), key(b)]) as { sent: string[]; detached: boolean };
  expectThat(
    apart.detached,
    `${sequence} to detach, one after the other`,
    apart,
    'Keys come one by one, each in a call of its own: remember how many have matched.',
  );
  expectSame(
    'what was sent of them',
    ['', ''],
    apart.sent,
    'The container got the first key, and acts on it. Hold it back until the next shows what was meant.',
  );
  expectSame(
    `${sequence} in one piece, after some words`,
    { sent: [one], detached: true },
    typed([Buffer.concat([Buffer.from(one), key(a, b), Buffer.from(two)])]),
    'What was typed before the sequence is still to be sent; what follows it is dropped.',
  );
  expectSame(
    `the key ${a}, then other words`,
    { sent: ['', text(a) + one], detached: false },
    typed([key(a), one]),
    'The key that was held back began nothing after all: send it, before the next.',
  );
  expectSame(
    `the keys ${a}, ${a}, ${b}`,
    { sent: ['', text(a), ''], detached: true },
    typed([key(a), key(a), key(b)]),
    'A key that does not go on with the sequence may itself begin it.',
  );
  expectSame(
    'no detach keys at all',
    { sent: [text(a, b)], detached: false },
    typed([key(a, b)], []),
    'An empty sequence is never typed.',
  );
}
