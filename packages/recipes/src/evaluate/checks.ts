import { createContext, Script } from 'node:vm';
import { AppError } from '@moraine/contract';
import type { AnswerTask } from '@moraine/data';
import { judgeGsm8k } from './gsm8k.js';

/** What is judged by comparing alone. */
export type PlainCheck = Exclude<AnswerTask['check'], { type: 'python' }>;

/** Figures of a written answer by name: 1 where it is right. */
export function checkAnswer(answer: string, check: PlainCheck, expected: string): Record<string, 0 | 1> {
  switch (check.type) {
    case 'answer':
      return { exact_match: point(isSameAnswer(answer, expected)) };
    case 'gsm8k':
      return judgeGsm8k(answer, expected);
    case 'pattern':
      return { passed: point(holdsPattern(answer.trim(), check.pattern, check.flags)) };
    case 'string':
      return { passed: point(STRING_CHECKS[check.operation](answer.trim(), expected)) };
    case 'similarity':
      return { passed: point(similarity(answer.trim(), expected) >= check.least) };
    default:
      return check satisfies never;
  }
}

const point = (isRight: boolean): 0 | 1 => (isRight ? 1 : 0);

/** The operations of OpenAI's string check. */
const STRING_CHECKS = {
  eq: (answer: string, reference: string) => answer === reference,
  ne: (answer: string, reference: string) => answer !== reference,
  like: (answer: string, reference: string) => answer.includes(reference),
  ilike: (answer: string, reference: string) => answer.toLowerCase().includes(reference.toLowerCase()),
};

/**
 * How alike two texts are, from 0 to 1: twice the letters of their longest common subsequence over all their letters, as rapidfuzz's `fuzz.ratio`,
 * OpenAI's `fuzzy_match`, without its factor of 100.
 */
export function similarity(a: string, b: string): number {
  const [letters, others] = [[...a], [...b]];
  if (letters.length + others.length === 0) return 1;
  let before = new Int32Array(others.length + 1);
  for (const letter of letters) {
    const now = new Int32Array(others.length + 1);
    for (const [i, other] of others.entries())
      now[i + 1] = letter === other ? (before[i] ?? 0) + 1 : Math.max(before[i + 1] ?? 0, now[i] ?? 0);
    before = now;
  }
  return (2 * (before.at(-1) ?? 0)) / (letters.length + others.length);
}

/** Numbers as they are written in reports: `$1,234.50`, `(12.6)` for less than nothing, `22 %`. */
const NUMBER = /^\(?[-+]?\$?\s*[-+]?(\d{1,3}(,\d{3})+|\d+)?(\.\d+)?\s*%?\)?$/;
const CLOSE = 1e-4;

/** Equal words in any case, white space and a last full stop aside; numbers however they are written, to a ten-thousandth. */
export function isSameAnswer(answer: string, expected: string): boolean {
  const [a, b] = [plain(answer), plain(expected)];
  if (a === b) return true;
  const [x, y] = [numberOf(a), numberOf(b)];
  return x !== null && y !== null && Math.abs(x - y) <= CLOSE * Math.abs(y);
}

const plain = (text: string): string => text.trim().replace(/\s+/g, ' ').replace(/\.$/, '').toLowerCase();

function numberOf(text: string): number | null {
  if (!NUMBER.test(text) || !/\d/.test(text)) return null;
  const size = Number(text.replace(/[^\d.]/g, ''));
  return text.includes('-') || text.startsWith('(') ? -size : size;
}

/** A pattern of a user may search for hours; this one is stopped. */
const PATTERN_MS = 1000;

/** Whether an answer holds a pattern. @throws AppError `user_data` where the search takes too long. */
function holdsPattern(answer: string, pattern: string, flags: string): boolean {
  const context = createContext({ answer, pattern, flags });
  try {
    return SEARCH.runInContext(context, { timeout: PATTERN_MS }) === true;
  } catch (cause) {
    throw new AppError('user_data', `The pattern ${pattern} takes longer than ${PATTERN_MS} ms on an answer.`, {
      param: 'pattern',
      hint: 'Repetitions inside repetitions make it so: write it without them.',
      cause,
    });
  }
}

const SEARCH = new Script('new RegExp(pattern, flags).test(answer)');
