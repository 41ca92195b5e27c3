const STRICT = /#### (-?[0-9.,]+)/;
const FLEXIBLE = /(-?[$0-9.,]{2,})|(-?[0-9]+)/g;
/** What stands for an answer without a number. */
const NONE = '[invalid]';

/** The number behind the first `####`, and the last number of the text. */
export const strictNumber = (answer: string): string => STRICT.exec(answer)?.[1]?.trim() ?? NONE;
export const flexibleNumber = (answer: string): string => answer.match(FLEXIBLE)?.at(-1)?.trim() ?? NONE;

/** What is ignored on both sides, in this order: commas, dollars, all before the last `#### `, a last full stop. */
const IGNORED_PARTS = [/,/g, /\$/g, /[\s\S]*#### /g, /\.(?=\n?$)/g];

const comparable = (text: string): string =>
  IGNORED_PARTS.reduce((rest, part) => rest.replace(part, ''), text).toLowerCase();

/** GSM8K's two figures as lm_eval 0.4.13 has them, `tasks/gsm8k/gsm8k.yaml`. `expected` is the answer of the row. */
export function judgeGsm8k(answer: string, expected: string): Record<'exact_match' | 'exact_match_flexible', 0 | 1> {
  const isRight = (number: string): 0 | 1 => (comparable(number) === comparable(expected) ? 1 : 0);
  return { exact_match: isRight(strictNumber(answer)), exact_match_flexible: isRight(flexibleNumber(answer)) };
}
