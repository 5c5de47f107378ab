import { randomInt } from 'node:crypto';

const MOODS =
  'amused bold brave busy calm clever cosy curious dreamy eager fancy fond gentle glad happy keen kind lively lucid merry modest nimble patient proud quick quiet serene sharp sleepy sunny tender vivid warm wise witty zealous'.split(
    ' ',
  );
const PEOPLE =
  'allen bartik bell boole borg cerf church curie dijkstra easley engelbart euler gauss goldberg hamilton hopper johnson kahn kay keller kernighan knuth lamport lamarr liskov lovelace mccarthy meitner minsky naur noether pascal perlman pike postel ritchie rivest shannon thompson torvalds turing wing wirth zuse'.split(
    ' ',
  );

/** A name for a container that nobody named: `calm_hopper`. Drawn until it is free, with a number behind it if need be. */
export function randomName(taken: (name: string) => boolean): string {
  for (let tries = 0; ; tries++) {
    const suffix = tries < 5 ? '' : String(randomInt(10 ** Math.min(tries - 4, 6)));
    const name = `${MOODS[randomInt(MOODS.length)]}_${PEOPLE[randomInt(PEOPLE.length)]}${suffix}`;
    if (!taken(name)) return name;
  }
}
