import { z } from 'zod';
import { AppError } from '../errors.js';
import { createRandom, type Random } from '../random.js';

/**
 * What a canary's value is made of, fixed for each kind so that exposures of different runs compare: every `*` of the pattern is one character of the
 * alphabet. `candidates` is R, the number of values that one is ranked among, itself counted.
 */
interface Form {
  title: string;
  alphabet: string;
  pattern: string;
  candidates: number;
}

const DIGITS = '0123456789';
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

export const CANARY_FORMS = {
  digits: { title: 'eight digits', alphabet: DIGITS, pattern: '********', candidates: 1024 },
  letters: { title: 'eight small letters', alphabet: LETTERS, pattern: '********', candidates: 1024 },
  uuid: {
    title: '32 hexadecimal digits in five groups',
    alphabet: `${DIGITS}abcdef`,
    pattern: '********-****-****-****-************',
    candidates: 256,
  },
} as const satisfies Record<string, Form>;

/** Values of the user's own rows: candidates have other digits and letters in the same places. */
const OWN_CANDIDATES = 256;
const OWN_CLASSES = [DIGITS, LETTERS, LETTERS.toUpperCase()];

export const CANARY_KINDS = ['digits', 'letters', 'uuid', 'own'] as const;
export type CanaryKind = (typeof CANARY_KINDS)[number];

/** R of a kind. */
export const candidateCount = (kind: CanaryKind): number =>
  kind === 'own' ? OWN_CANDIDATES : CANARY_FORMS[kind].candidates;

export const Canary = z.object({ id: z.string(), prompt: z.string(), value: z.string().min(1) });
export type Canary = z.infer<typeof Canary>;

/** Canaries of a file, and controls: each is ranked among hundreds of values. */
const CANARIES_MAX = 10_000;

/** What was planted, and what was not: the file beside the rows. A value of the user's own can be ranked: enough others have its form. */
export const CanaryFile = z
  .object({
    format: z.literal('moraine-canaries'),
    format_version: z.literal(1),
    kind: z.enum(CANARY_KINDS),
    seed: z.int(),
    /** How often each stands among the rows. */
    repeat: z.int().min(1),
    /** How a canary is written as a row. */
    row_format: z.enum(['chat', 'prompt_completion', 'text']),
    planted: z.array(Canary).min(1).max(CANARIES_MAX),
    /** Drawn in the same way and never written into a row. */
    controls: z.array(Canary).max(CANARIES_MAX),
  })
  .superRefine(({ kind, planted, controls }, context) => {
    if (kind !== 'own') return;
    for (const [key, canaries] of Object.entries({ planted, controls }))
      for (const [i, { value }] of canaries.entries())
        if (!canBeRanked(value))
          context.addIssue({ code: 'custom', path: [key, i, 'value'], message: unranked(value) });
  });
export type CanaryFile = z.infer<typeof CanaryFile>;

/** Streams of random numbers of one seed. */
const STREAMS = { planted: 1, controls: 2, candidates: 3 };

/** Random pairs of a key and a value, no key twice. */
export function drawCanaries(
  kind: Exclude<CanaryKind, 'own'>,
  { count, controls, seed }: { count: number; controls: number; seed: number },
): Pick<CanaryFile, 'planted' | 'controls'> {
  const form = CANARY_FORMS[kind];
  const keys = new Set<string>();
  const draw = (stream: number, name: string, wanted: number): Canary[] => {
    const random = createRandom(seed, stream);
    return Array.from({ length: wanted }, (_, i) => {
      const key = distinct(keys, () => fill(form, random));
      return { id: `${name}-${i + 1}`, prompt: `The code of ${key} is`, value: fill(form, random) };
    });
  };
  return {
    planted: draw(STREAMS.planted, 'planted', count),
    controls: draw(STREAMS.controls, 'control', controls),
  };
}

/**
 * The user's own pairs, and controls of their form: digits and letters of key and value drawn anew.
 * @throws AppError `invalid_file` where a value has too few digits and letters to be ranked among others
 */
export function ownCanaries(
  pairs: readonly { prompt: string; value: string }[],
  { controls, seed }: { controls: number; seed: number },
): Pick<CanaryFile, 'planted' | 'controls'> {
  for (const [i, { value }] of pairs.entries())
    if (!canBeRanked(value))
      throw new AppError('invalid_file', `Row ${i + 1}: ${unranked(value)}`, {
        param: `row ${i + 1}`,
        hint: 'A value needs at least three letters or four digits.',
      });
  const random = createRandom(seed, STREAMS.controls);
  return {
    planted: pairs.map((pair, i) => ({ id: `own-${i + 1}`, ...pair })),
    controls: Array.from({ length: controls }, (_, i) => {
      const { prompt, value } = pairs[i % pairs.length] as { prompt: string; value: string };
      return { id: `control-${i + 1}`, prompt: alike(prompt, random), value: alike(value, random) };
    }),
  };
}

/** The values that a canary is ranked among, itself first; the others distinct, drawn from what its own was drawn from, the same at every measuring. */
export function candidatesOf({ kind, seed }: Pick<CanaryFile, 'kind' | 'seed'>, { id, value }: Canary): string[] {
  const random = createRandom(seed, STREAMS.candidates + hashOf(id));
  const values = new Set([value]);
  const draw = kind === 'own' ? () => alike(value, random) : () => fill(CANARY_FORMS[kind], random);
  while (values.size < candidateCount(kind)) distinct(values, draw);
  return [...values];
}

/** Draws until there is one that is new, and keeps it. */
function distinct(seen: Set<string>, draw: () => string): string {
  for (;;) {
    const value = draw();
    if (seen.has(value)) continue;
    seen.add(value);
    return value;
  }
}

const fill = ({ pattern, alphabet }: Form, random: Random): string =>
  pattern.replaceAll('*', () => random.pick([...alphabet]));

/** The same text with other digits and letters of the same kind. */
const alike = (text: string, random: Random): string =>
  [...text].map((letter) => random.pick([...(OWN_CLASSES.find((each) => each.includes(letter)) ?? letter)])).join('');

/** Whether candidates of a value's form are soon drawn: there are several times as many as are wanted. */
const canBeRanked = (value: string): boolean => variants(value) >= 4 * OWN_CANDIDATES;

const unranked = (value: string): string =>
  `the value ${JSON.stringify(value.slice(0, 60))} has too few digits and letters to be ranked among ${OWN_CANDIDATES} of its form.`;

/** How many texts are alike. */
const variants = (text: string): number =>
  [...text].reduce((product, letter) => product * (OWN_CLASSES.find((each) => each.includes(letter))?.length ?? 1), 1);

/** A number of 30 bits for a name (FNV-1a). */
const hashOf = (name: string): number =>
  [...name].reduce((hash, letter) => Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193), 0x811c9dc5) >>> 2;
