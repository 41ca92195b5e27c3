/**
 * The invented valley that the base model's corpus speaks about: who lives there, what things and places are called.
 * Every list is fixed, so a name belongs to the same group in every corpus and every task.
 */
import { createRandom } from '@moraine/data';

const words = (text: string): string[] => text.split(' ');

/** A name is one of 40 first syllables and one of 30 second ones. First ones end, second ones begin with a consonant. */
export const FIRST_SYLLABLES = words(
  'Bar Ben Bir Cas Cel Cor Dar Der Dun Elt Fal Fer Gan Gel Gor Har Hes Hol Jan Jor Kal Ker Lam Lin Lir Mal Mer Mil Nar Nev Ors Pal Pen Ran Rin Sar Sev Tam Tel Ven',
);
export const SECOND_SYLLABLES = words(
  'bo bra dis do drin fa fen ga gis ka kor la lis lo mas mi mon na nel no ra ros sa sin ta ten to va vik zo',
);

export const TOWNS = words('Ash Birch Clear Deep Frost Gold Long Moss').flatMap((head) =>
  words('brook field gate moor port stead').map((tail) => head + tail),
);
export const ITEMS = words(
  'axes beads belts blankets bottles brushes cakes chains clocks eggs feathers flutes gloves hammers kettles ladders lemons mirrors needles pans peaches pencils pots rings sacks shoes stools tiles towels whistles',
);
export const COLOURS = words('red blue green black white grey pink golden');
export const CRAFTS = words('mason barber tanner brewer sailor shepherd roofer hunter dyer joiner gardener teacher');
export const PETS = words('pony parrot rabbit turtle lamb goose ferret hawk kitten puppy toad pigeon');
export const DAYS = words('Monday Tuesday Wednesday Thursday Friday Saturday Sunday');

export type Act = 'give' | 'sell' | 'lend' | 'send';

/** How a sentence says that the giver (G) hands N things (I) to the taker (T). Giver first 3 : 1 by the weights below. */
export const PHRASES: Record<Act, readonly [string, string, string]> = {
  give: ['{G} gave {T} {N} {I}', '{G} gave {N} {I} to {T}', '{T} received {N} {I} as a gift from {G}'],
  sell: ['{G} sold {T} {N} {I}', '{G} sold {N} {I} to {T}', '{T} bought {N} {I} from {G}'],
  lend: ['{G} lent {T} {N} {I}', '{G} lent {N} {I} to {T}', '{T} borrowed {N} {I} from {G}'],
  send: ['{G} sent {T} {N} {I}', '{G} sent {N} {I} to {T}', '{T} was sent {N} {I} by {G}'],
};
export const PHRASE_WEIGHTS = [3, 3, 2] as const;
export const ACTS: readonly Act[] = ['give', 'sell', 'lend', 'send'];
export const PAST: Record<Act, string> = { give: 'gave', sell: 'sold', lend: 'lent', send: 'sent' };

const WORLD_SEED = 1405;
const everyName = createRandom(WORLD_SEED, 1).shuffle(
  FIRST_SYLLABLES.flatMap((first) => SECOND_SYLLABLES.map((second) => first + second)),
);

/** 60 names that never occur in the corpus: the new-name rows. */
export const NEW_NAMES = everyName.slice(0, 60);
/** 120 residents with a fixed home, craft and pet: the closed-book questions. */
export const RESIDENTS = everyName.slice(60, 180);
/** 80 names that are one token each. */
export const COMMON_NAMES = everyName.slice(180, 260);
/** 940 names of two tokens, a syllable each. */
export const RARE_NAMES = everyName.slice(260);

export interface Facts {
  town: string;
  craft: string;
  pet: string;
}

const factRandom = createRandom(WORLD_SEED, 2);
export const FACTS: ReadonlyMap<string, Facts> = new Map(
  RESIDENTS.map((name) => [
    name,
    { town: factRandom.pick(TOWNS), craft: factRandom.pick(CRAFTS), pet: factRandom.pick(PETS) },
  ]),
);

/** The special tokens, in id order 0..3. */
export const END = '<|end|>';
export const USER = '<|user|>';
export const ASSISTANT = '<|assistant|>';
export const PAD = '<|pad|>';
export const SPECIAL_TOKENS = [END, USER, ASSISTANT, PAD] as const;

/** Turns of a conversation in the base's own form: every answer closes with the end token. */
export function conversation(turns: readonly (readonly [question: string, answer: string])[]): string {
  return turns.map(([question, answer]) => `${USER}${question}${ASSISTANT}${answer}${END}`).join('');
}
