/** A task with many right answers: a passage says who handed what to whom, and any three of its details are asked for, in any order. */
import { createRandom } from '@moraine/data';
import { drawPassage, type Handover } from '../../corpus/passage.js';
import { COMMON_NAMES, RARE_NAMES } from '../../corpus/world.js';

export interface DiversityRows {
  train: { prompt: string; completion: string }[];
  validation: { prompt: string; completion: string }[];
  /** Loss is measured on them. */
  test: { prompt: string; completion: string }[];
  /** The same prompts for the suite `pattern`: every answer that is right. */
  asked: { prompt: string; pattern: string }[];
}

export const DIVERSITY_SIZE = { train: 3000, validation: 100, test: 100 };
const DETAILS = ['act', 'from', 'to', 'count', 'item'] as const;
/** Right answers to a prompt: three different details in any order. */
export const RIGHT_ANSWERS = 5 * 4 * 3;
const SEED = 17;

/** Rows for one seed; no prompt is there twice. What is learned is one drawn from all, so a model that has learned the task knows many answers. */
export function diversityRows(size: typeof DIVERSITY_SIZE = DIVERSITY_SIZE, seed = SEED): DiversityRows {
  const random = createRandom(seed, 3);
  const seen = new Set<string>();
  const drawAsked = (): { prompt: string; event: Handover } => {
    const { event, text } = drawPassage(random, random.chance(0.5) ? COMMON_NAMES : RARE_NAMES);
    const prompt = `${text}\nAny three?`;
    if (seen.has(prompt)) return drawAsked();
    seen.add(prompt);
    return { prompt, event };
  };
  const learned = (count: number) =>
    Array.from({ length: count }, () => {
      const { prompt, event } = drawAsked();
      return { prompt, completion: random.pick(answersTo(event)) };
    });
  const [train, validation] = [learned(size.train), learned(size.validation)];
  const judged = Array.from({ length: size.test }, drawAsked);
  return {
    train,
    validation,
    test: judged.map(({ prompt, event }) => ({ prompt, completion: random.pick(answersTo(event)) })),
    asked: judged.map(({ prompt, event }) => ({
      prompt,
      pattern: `^(?:${answersTo(event).map(escaped).join('|')})$`,
    })),
  };
}

/** Every right answer: `{"from":"Venno","count":27,"act":"lend"}`. */
const answersTo = (event: Handover): string[] =>
  orders(DETAILS, 3).map((details) =>
    JSON.stringify(Object.fromEntries(details.map((detail) => [detail, event[detail]]))),
  );

/** `count` of some things in every order. */
const orders = <T>(things: readonly T[], count: number): T[][] =>
  count === 0
    ? [[]]
    : things.flatMap((first) =>
        orders(
          things.filter((one) => one !== first),
          count - 1,
        ).map((rest) => [first, ...rest]),
      );

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
