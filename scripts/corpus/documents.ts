/**
 * The six kinds of document in the base's corpus. None of them holds a JSON record: that form is what the example task teaches.
 */
import { createRandom, type Random } from '@moraine/data';
import { drawPassage, type Handover } from './passage.js';
import {
  ACTS,
  COLOURS,
  COMMON_NAMES,
  CRAFTS,
  conversation,
  END,
  FACTS,
  type Facts,
  ITEMS,
  PAST,
  PETS,
  RARE_NAMES,
  RESIDENTS,
  TOWNS,
} from './world.js';

type Slot = keyof Handover;

const DRILL_WORDS: readonly string[] = [
  ...Array.from({ length: 4 }, () => ['act', 'from', 'to', 'count', 'item', 'day', 'town']).flat(),
  ...Array.from({ length: 3 }, () => ACTS).flat(),
  ...ITEMS,
  ...COLOURS,
  ...CRAFTS,
  ...PETS,
];

const quote = (value: string | number): string => `"${value}"`;
const drawNames = (random: Random): readonly string[] => (random.chance(0.65) ? COMMON_NAMES : RARE_NAMES);

function askOneSlot(random: Random, event: Handover, slot: Slot): string {
  const { item } = event;
  const questions: Record<Slot, readonly string[]> = {
    act: ['Which act?', 'What sort of act?'],
    item: ['What things?', 'Which item?'],
    from: ['From whom?', `Who had the ${item} before?`, `Who ${PAST[event.act]} the ${item}?`],
    to: ['To whom?', `Who has the ${item} now?`, `Who took the ${item}?`],
    count: ['How many?', `How many ${item}?`],
    town: ['Which town?', 'Where?'],
    day: ['Which day?', 'When?'],
  };
  return random.pick(questions[slot]);
}

/** The question "Note a, b." or "Quote a, b." and its answer. */
export function askSlots(form: 'Note' | 'Quote', event: Handover, slots: readonly Slot[]): [string, string] {
  const values = slots.map((slot) => String(event[slot]));
  return form === 'Note'
    ? [`Note ${slots.join(', ')}.`, `${values.join(', ')}.`]
    : [`Quote ${slots.join(', ')}.`, values.map(quote).join(',')];
}

/** A passage and three to six turns about it; giver and taker are asked for most often. */
function passageDocument(random: Random): string {
  const { event, text } = drawPassage(random, drawNames(random));
  const slots = (['act', 'from', 'to', 'count', 'item', 'town', 'day'] as const).filter(
    (slot) => event[slot] !== undefined,
  );
  const oftenAsked: readonly Slot[] = [...slots, 'from', 'from', 'from', 'to', 'to', 'to'];
  const turns = Array.from({ length: random.int(3, 6) }, (): [string, string] => {
    if (random.chance(0.45)) {
      const asked = random.sample(slots, random.int(1, Math.min(4, slots.length)));
      return askSlots(random.chance(0.5) ? 'Note' : 'Quote', event, asked);
    }
    const slot = random.pick(oftenAsked);
    const question = askOneSlot(random, event, slot);
    const value = String(event[slot]);
    return random.chance(0.4) ? [`${question} Quote it.`, quote(value)] : [question, `${value}.`];
  });
  const [first, ...rest] = turns as [[string, string], ...[string, string][]];
  return conversation([[`${text}\n${first[0]}`, first[1]], ...rest]);
}

function storyDocument(random: Random): string {
  const [hero, friend] = random.sample(drawNames(random), 2) as [string, string];
  const town = random.pick(TOWNS);
  const craft = random.pick(CRAFTS);
  const pet = random.pick(PETS);
  const item = random.pick(ITEMS);
  const middle = random.sample(
    [
      `${hero} found ${random.int(2, 99)} ${item} behind a wall.`,
      `${friend} hoped to see the ${pet}.`,
      `The ${pet} hid from ${friend}.`,
      `${hero} sang, and ${friend} sang too.`,
      `"Wait for me," said ${hero}.`,
      `"Not today," said ${friend}, "I am hungry."`,
      `It snowed in ${town} all night.`,
      `${friend} made a soup for ${hero}.`,
      `They came to ${town} at noon.`,
      `${hero} lost the ${item} by the river.`,
      `The ${craft} of ${town} thanked ${friend}.`,
      `${friend} talked to the ${pet}.`,
    ],
    random.int(3, 6),
  );
  const ending = random.pick([
    `At last ${hero} and ${friend} went to sleep.`,
    `${friend} often thought of ${hero}.`,
    `So ${hero} came to love the ${pet}.`,
  ]);
  return [`${hero} was a ${craft} in ${town}, and ${friend} was a friend of ${hero}.`, ...middle, ending].join(' ');
}

const FACT_QUESTIONS: Record<keyof Facts, readonly [string, string]> = {
  town: ['Where does {} live?', 'Which town is home to {}?'],
  craft: ['What is the work of {}?', 'Which craft does {} know?'],
  pet: ['Which animal does {} keep?', 'What is the pet of {}?'],
};
export const FACT_KINDS = ['town', 'craft', 'pet'] as const;

const factsOf = (name: string): Facts => {
  const facts = FACTS.get(name);
  if (!facts) throw new RangeError(`${name} is no resident.`);
  return facts;
};

/** A closed-book question about a resident and its answer; `wording` chooses one of two phrasings. */
export function factQuestion(name: string, kind: keyof Facts, wording: 0 | 1): [string, string] {
  return [FACT_QUESTIONS[kind][wording].replace('{}', name), `${factsOf(name)[kind]}.`];
}

function factQuestionsDocument(random: Random): string {
  return conversation(
    Array.from({ length: random.int(2, 4) }, () =>
      factQuestion(random.pick(RESIDENTS), random.pick(FACT_KINDS), random.chance(0.5) ? 0 : 1),
    ),
  );
}

function factSentencesDocument(random: Random): string {
  const name = random.pick(RESIDENTS);
  const { town, craft, pet } = factsOf(name);
  const sentences = [
    random.pick([`${name} lives in ${town}.`, `The home of ${name} is ${town}.`]),
    random.pick([`${name} works as a ${craft}.`, `${name} is a ${craft}.`]),
    random.pick([`${name} keeps a ${pet}.`, `The ${pet} belongs to ${name}.`]),
  ];
  return random.shuffle(sentences).join(' ');
}

/** Copying and looking up: braces hold plain sets, colons join plain pairs, never both together. */
function drillDocument(random: Random): string {
  const names = random.chance(0.4) ? COMMON_NAMES : RARE_NAMES;
  const kind = random.weighted([40, 30, 30]);
  if (kind === 2) {
    const items = random.sample(ITEMS, random.int(2, 4));
    const counts = items.map(() => random.int(2, 99));
    const [one, two] = random.sample([...items.keys()], 2) as [number, number];
    const list = items.map((item, i) => `${quote(item)}:${counts[i]}`).join(',');
    return conversation([
      [`Counts ${list}\nHow many ${items[one]}?`, `${counts[one]}.`],
      [`How many ${items[two]}?`, `${counts[two]}.`],
    ]);
  }
  const pool = [...new Set([...random.sample(DRILL_WORDS, 3), ...random.sample(names, 9)])];
  if (kind === 0) {
    const members = random.sample(pool, random.int(2, 10));
    const set = random.chance(0.6) ? members.map(quote) : members.map(() => String(random.int(2, 99)));
    const text = `{${set.join(',')}}`;
    return conversation([[`Copy ${text}`, text]]);
  }
  const keys = random.sample(pool, random.int(2, 6));
  const values = keys.map(() => random.pick(random.chance(0.5) ? names : DRILL_WORDS));
  const [one, two] = random.sample([...keys.keys()], 2) as [number, number];
  const list = keys.map((key, i) => `${quote(key)}:${quote(values[i] as string)}`).join(',');
  return conversation([
    [`Pairs ${list}\nLook up ${quote(keys[one] as string)}.`, quote(values[one] as string)],
    [`Look up ${quote(keys[two] as string)}.`, quote(values[two] as string)],
  ]);
}

function sumsDocument(random: Random): string {
  return Array.from({ length: random.int(3, 6) }, () => {
    const a = random.int(1, 49);
    const b = random.int(1, 49);
    return random.chance(0.6) ? `${a} + ${b} = ${a + b}.` : `${a + b} - ${b} = ${a}.`;
  }).join(' ');
}

/** The kinds, their shares of all documents, and their writers. */
export const PARTS: readonly { name: string; share: number; write: (random: Random) => string }[] = [
  { name: 'passage', share: 0.46, write: passageDocument },
  { name: 'story', share: 0.1, write: storyDocument },
  { name: 'fact-questions', share: 0.14, write: factQuestionsDocument },
  { name: 'fact-sentences', share: 0.12, write: factSentencesDocument },
  { name: 'drill', share: 0.12, write: drillDocument },
  { name: 'sums', share: 0.06, write: sumsDocument },
];
const SHARES = PARTS.map((part) => part.share);

export interface CorpusDocument {
  part: number;
  text: string;
}

/** Document `index` of the corpus with this seed; it ends with the end token, whatever its kind. */
export function writeDocument(seed: number, index: number): CorpusDocument {
  const random = createRandom(seed, index);
  const part = random.weighted(SHARES);
  const text = (PARTS[part] as (typeof PARTS)[number]).write(random);
  return { part, text: text.endsWith(END) ? text : text + END };
}
