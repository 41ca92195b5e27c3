import type { Random } from '@moraine/data';
import { ACTS, type Act, COLOURS, DAYS, ITEMS, PHRASE_WEIGHTS, PHRASES, TOWNS } from './world.js';

/** What a passage says: somebody hands things to somebody. `town` and `day` are there when the passage names them. */
export interface Handover {
  act: Act;
  from: string;
  to: string;
  count: number;
  item: string;
  town?: string;
  day?: string;
}

export interface Passage {
  event: Handover;
  text: string;
}

/**
 * A hand-over among three of the given names and its passage: the main sentence with a side sentence before it, after it,
 * or both. A side sentence never names giver and taker together (with such sentences the model did not learn who is who);
 * it often brings a third person or another number as a distraction.
 */
export function drawPassage(random: Random, names: readonly string[]): Passage {
  const [from, to, other] = random.sample(names, 3) as [string, string, string];
  const act = random.pick(ACTS);
  const item = random.pick(ITEMS);
  const event: Handover = { act, from, to, count: random.int(2, 99), item };
  const town = random.pick(TOWNS);
  const day = random.pick(DAYS);
  const otherItem = random.pick(ITEMS.filter((candidate) => candidate !== item));
  const things = random.chance(0.25) ? `${random.pick(COLOURS)} ${item}` : item;

  const phrase = PHRASES[act][random.weighted(PHRASE_WEIGHTS)] as string;
  const handover = phrase
    .replace('{G}', from)
    .replace('{T}', to)
    .replace('{N}', String(event.count))
    .replace('{I}', things);
  const frame = random.weighted([25, 25, 15, 35]);
  if (frame === 0 || frame === 2) event.day = day;
  if (frame === 1 || frame === 2) event.town = town;
  const main = [
    `On ${day}, ${handover}.`,
    `${handover} in ${town}.`,
    `On ${day} in ${town}, ${handover}.`,
    `${handover}.`,
  ][frame] as string;

  const before = random.pick([
    `${to} was short of ${item}.`,
    `${from} owned a lot of ${item}.`,
    `${other} was asleep.`,
    `It snowed in ${town}.`,
    `${other} kept ${random.int(2, 99)} ${otherItem} in a shed.`,
    `${other} was far away.`,
  ]);
  const after = random.pick([
    `${to} smiled.`,
    `${from} walked home.`,
    `${other} watched.`,
    `${other} asked for ${random.int(2, 99)} ${otherItem}.`,
    `${to} told ${other}.`,
  ]);
  const sides = random.weighted([35, 35, 30]);
  const text = [`${before} ${main}`, `${main} ${after}`, `${before} ${main} ${after}`][sides] as string;
  return { event, text };
}
