import type { FinishReason } from '@moraine/contract/serving';
import type { Answers, AnswerToken } from './answer.js';

export interface WholeAnswer {
  text: string;
  tokens: AnswerToken[];
  finishReason: FinishReason;
}

/** Waits for all answers, in their order. @throws what one ends with. */
export async function gather(answers: Answers): Promise<WholeAnswer[]> {
  const whole: WholeAnswer[] = [];
  for await (const { index, text, tokens, finishReason } of answers.parts()) {
    const before = whole[index] ?? { text: '', tokens: [], finishReason: 'stop' as const };
    whole[index] = {
      text: before.text + text,
      tokens: [...before.tokens, ...tokens],
      finishReason: finishReason ?? before.finishReason,
    };
  }
  return whole;
}
