import type { ChatPart } from './tools.js';

/** A part of an answer of any endpoint. */
interface Part<Token, Reason> {
  index: number;
  text: string;
  tokens: Token[];
  calls?: ChatPart['calls'];
  finishReason: Reason | null;
}

export interface WholeAnswer<Token, Reason> {
  text: string;
  calls: ChatPart['calls'];
  tokens: Token[];
  finishReason: Reason | 'stop';
}

/** Waits for all answers, in their order. @throws what one ends with. */
export async function gather<Token, Reason>(
  parts: AsyncIterable<Part<Token, Reason>>,
): Promise<WholeAnswer<Token, Reason>[]> {
  const whole: WholeAnswer<Token, Reason>[] = [];
  for await (const { index, text, tokens, calls = [], finishReason } of parts) {
    const before = whole[index] ?? { text: '', calls: [], tokens: [], finishReason: 'stop' as const };
    whole[index] = {
      text: before.text + text,
      calls: [...before.calls, ...calls],
      tokens: [...before.tokens, ...tokens],
      finishReason: finishReason ?? before.finishReason,
    };
  }
  return whole;
}
