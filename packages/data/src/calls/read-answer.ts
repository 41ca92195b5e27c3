import type { TextTokenizer } from '../tokenizer.js';
import type { CallForm, ReadCall, ToolDefinition } from './call-form.js';

/** An answer apart: its words, and the calls that it makes. */
export interface ReadAnswer {
  content: string;
  calls: ReadCall[];
}

/**
 * Reads the calls of an answer. What is no complete call stays in the content as it is written. Of an answer that is not whole: what of
 * its content and how many of its calls no later token takes back.
 */
export function readAnswer(
  form: CallForm,
  text: string,
  tools: readonly ToolDefinition[],
  { isWhole }: { isWhole: boolean },
): ReadAnswer {
  const begin = form.beginOf(text, isWhole);
  const before = text.slice(0, begin).trimEnd();
  const { calls, end } =
    begin === text.length ? { calls: [], end: 0 } : form.readCalls(text.slice(begin), tools, isWhole);
  if (!isWhole) return { content: before, calls };
  if (calls.length === 0) return { content: text, calls };
  const behind = text.slice(begin + end).trim();
  return { content: behind === '' ? before : `${before}\n${behind}`, calls };
}

/** Makes text of an answer's tokens without special ones, but for those that calls are written with. */
export function decoderFor(
  { encode, decode, specialIds, eosIds }: TextTokenizer,
  form: CallForm,
): (ids: readonly number[]) => string {
  const kept = new Set(form.marks.flatMap((mark) => encode(mark)).filter((id) => !eosIds.includes(id)));
  return (ids) =>
    decode(
      ids.filter((id) => !specialIds.has(id) || kept.has(id)),
      { skipSpecialTokens: false },
    );
}
