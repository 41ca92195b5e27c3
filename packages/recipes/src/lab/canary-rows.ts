import type { Canary, CanaryFile } from '@moraine/contract/analyses';
import type { Row } from '@moraine/data';

/** A canary with some value as a row of the file's form. */
export function canaryRow({ row_format }: Pick<CanaryFile, 'row_format'>, { prompt }: Canary, value: string): Row {
  switch (row_format) {
    case 'chat':
      return {
        format: 'chat',
        messages: [
          { role: 'user', content: prompt },
          { role: 'assistant', content: value },
        ],
      };
    case 'prompt_completion':
      return { format: 'prompt_completion', prompt, completion: ` ${value}` };
    case 'text':
      return { format: 'text', text: `${prompt} ${value}` };
    default:
      return row_format satisfies never;
  }
}

/** The prompt and the value of a row of one question; null where it is of another form. */
export function pairOf(row: Row): { prompt: string; value: string } | null {
  if (row.format === 'prompt_completion') return { prompt: row.prompt, value: row.completion.trim() };
  if (row.format === 'text') return null;
  const [question, answer, ...more] = row.messages;
  const isPair = question?.role === 'user' && answer?.role === 'assistant' && more.length === 0;
  if (!isPair || typeof question.content !== 'string' || typeof answer.content !== 'string') return null;
  return { prompt: question.content, value: answer.content.trim() };
}
