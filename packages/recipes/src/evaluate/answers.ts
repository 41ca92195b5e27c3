import type { EvaluationItem, Suite } from '@moraine/contract/suites';
import type { AnswerTask, SuiteItem, TextTokenizer } from '@moraine/data';
import type { GenerationPlan } from '@moraine/lm';
import { encodePrompt } from '../answer-prompts.js';
import { checkAnswer } from './checks.js';
import { gradeByProgram } from './grade-by-program.js';
import { timeOf } from './requests.js';

/** A prompt to answer. */
export interface AskedPrompt {
  ids: number[];
  tokensMax: number;
  stops: readonly string[];
}

/** Prompts that are answered side by side. */
export const ASKED_TOGETHER = 16;

/** The last tokens of a prompt that leave room for its answer; an answer takes no more than half of the context. */
export function encodeAsked(
  task: Omit<AnswerTask, 'kind' | 'check' | 'expected'>,
  tokenizer: TextTokenizer,
  maxPositions: number,
): AskedPrompt {
  const tokensMax = Math.min(task.tokensMax, Math.floor(maxPositions / 2));
  const ids = encodePrompt(task.context, tokenizer, !task.isTurn);
  return { ids: ids.slice(-(maxPositions - tokensMax)), tokensMax, stops: task.stops };
}

/** One number of rows and one length, so that an answer is the same whatever is answered beside it. */
export function answerPlan(
  prompts: readonly AskedPrompt[],
  maxPositions: number,
  samples: number | null,
): GenerationPlan {
  const longest = Math.max(...prompts.map(({ ids }) => ids.length));
  const contextMax = Math.max(...prompts.map(({ ids, tokensMax }) => ids.length + tokensMax));
  const rows = Math.min(ASKED_TOGETHER, 2 ** Math.ceil(Math.log2(prompts.length * (samples ?? 1))));
  const whole = Math.min(maxPositions, timeOf(contextMax, maxPositions));
  return {
    batches: [rows],
    prefillTimes: [Math.min(whole, timeOf(longest, maxPositions))],
    contextMax: whole,
  };
}

/** An item with what the model wrote. */
export async function judgeAnswer(
  { index, id, prompt }: SuiteItem,
  { check, expected }: AnswerTask,
  answer: string,
  suite: Suite,
): Promise<EvaluationItem> {
  if (check.type === 'python') {
    const graded = await gradeByProgram(check, answer);
    return { index, id, prompt, answer, expected: null, ...graded };
  }
  const metrics = checkAnswer(answer, check, expected);
  return { index, id, prompt, answer, expected, metrics, verdict: metrics[suite.metric] === 1 ? 'right' : 'wrong' };
}
