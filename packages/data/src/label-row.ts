import { IGNORED } from '@moraine/contract';
import type { EncodedRow } from './batch.js';
import { proveWritten } from './proof.js';
import type { ChatMessage, Row } from './row.js';
import type { TextTokenizer } from './tokenizer.js';
import { isLearned, leavesToolsOut, type RenderedAnswers, renderAnswers, renderLastAnswer } from './turns.js';

/** What was done with a row that its owner should know. */
export type RowNote =
  /** The template changes earlier turns: each answer made a row of its own. */
  | 'split'
  /** The template writes no end token: one was added behind each answer. */
  | 'end_added'
  /** A text holds a special token of the base: it is read as one. */
  | 'special_in_text'
  /** The template leaves the reasoning of an answer out. */
  | 'reasoning_left_out'
  /** The template leaves the definitions of tools out. */
  | 'tools_left_out'
  /** The template asks for the answer with another text than the one that stands before it here. */
  | 'prompt_differs'
  /** The template does not write an answer or its calls as the row has them: it is not learned. */
  | 'not_written';

/** Ids and labels of a row, before its length is looked at. */
export interface LabelledRow extends EncodedRow {
  notes: Set<RowNote>;
  /** The texts that its tokens were made of, one behind the other. */
  texts: readonly string[];
}

/** How prompt/completion rows are written: as turns of the base's chat template, end to end, or the first where the base has a template. */
export type PromptFormat = 'auto' | 'template' | 'raw';

/**
 * What a row trains on: prompts masked, answers with their end token supervised, plain text all. A conversation whose template changes
 * earlier turns makes one row for each answer, made as it is asked for.
 */
export function labelRow(
  row: Row,
  tokenizer: TextTokenizer,
  promptFormat: PromptFormat = 'auto',
): Iterable<LabelledRow> {
  switch (row.format) {
    case 'text': {
      const ids = withEnd(row.text, tokenizer);
      return [{ ids, labels: [...ids], notes: new Set(), texts: [row.text] }];
    }
    case 'chat':
      return labelConversation(row.messages, tokenizer, row.tools);
    case 'prompt_completion': {
      const { prompt, completion } = row;
      if (promptFormat === 'template' || (promptFormat === 'auto' && tokenizer.hasChatTemplate)) {
        const asked: ChatMessage = { role: 'user', content: prompt };
        return labelConversation([asked, { role: 'assistant', content: completion }], tokenizer);
      }
      const ids = withEnd(prompt + completion, tokenizer);
      const promptLength = commonLength(tokenizer.encode(prompt, { addSpecialTokens: true }), ids);
      const labels = ids.map((id, i) => (i < promptLength ? IGNORED : id));
      return [{ ids, labels, notes: new Set(), texts: [prompt + completion] }];
    }
    default:
      return row satisfies never;
  }
}

/** A text's tokens with one end token behind them; some tokenizers, and some texts, bring it themselves. */
function withEnd(text: string, tokenizer: TextTokenizer): number[] {
  const ids = tokenizer.encode(text, { addSpecialTokens: true });
  return ids[ids.length - 1] === tokenizer.eosId ? ids : [...ids, tokenizer.eosId];
}

/** How many tokens two encodings share from the start. A token that crosses a boundary belongs to what follows it. */
function commonLength(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n += 1;
  return n;
}

function* labelConversation(
  messages: readonly ChatMessage[],
  tokenizer: TextTokenizer,
  tools?: readonly unknown[],
): Generator<LabelledRow> {
  const whole = renderAnswers(tokenizer.chatTemplate, messages, tools);
  const noted: RowNote[] = [
    ...(messages.some((message) => holdsSpecial(message, tokenizer)) ? (['special_in_text'] as const) : []),
    ...(leavesToolsOut(tokenizer.chatTemplate, messages, tools) ? (['tools_left_out'] as const) : []),
  ];
  if (whole !== null) {
    yield labelAnswers(whole, messages, tokenizer, noted);
    return;
  }
  const answers = messages.flatMap((message, i) => (isLearned(message) ? [i] : []));
  for (const i of answers) {
    const last = renderLastAnswer(tokenizer.chatTemplate, messages, i, tools);
    yield labelAnswers(last, messages, tokenizer, answers.length > 1 ? [...noted, 'split'] : noted);
  }
}

/** Labels the answers of a text. Where the template ends one without an end token, each gets one behind its own text, as in the plain form. */
function labelAnswers(
  rendered: RenderedAnswers,
  messages: readonly ChatMessage[],
  tokenizer: TextTokenizer,
  noted: readonly RowNote[],
): LabelledRow {
  const notes = new Set(noted);
  const isProven = rendered.spans.map(({ message, ownStart, end, isWhole }) => {
    const text = rendered.text.slice(ownStart, end);
    const written = isWhole ? proveWritten(messages[message] as ChatMessage, text) : 'no';
    if (written === 'no') notes.add('not_written');
    if (written === 'without_reasoning') notes.add('reasoning_left_out');
    return written !== 'no';
  });
  if (rendered.spans.some(({ isAsked }) => !isAsked)) notes.add('prompt_differs');
  const mayEnd = rendered.spans.length === 0 || tokenizer.mayMakeSpecial(rendered.text);
  const asWritten = mayEnd ? encodeAnswers(rendered, tokenizer) : null;
  if (asWritten === null) notes.add('end_added');
  const { ids, answers, texts } =
    asWritten ?? encodeAnswers(withEnds(rendered, tokenizer.eosText), tokenizer) ?? encodePieces(rendered, tokenizer);
  const labels = ids.map(() => IGNORED);
  for (const [k, { first, stop }] of answers.entries()) {
    if (isProven[k]) for (let i = first; i < stop; i += 1) labels[i] = ids[i] as number;
  }
  return { ids, labels, notes, texts };
}

/** The text with an end token written behind each answer. */
function withEnds({ text, spans }: RenderedAnswers, eosText: string): RenderedAnswers {
  let written = '';
  let from = 0;
  const moved = spans.map((span) => {
    const before = written.length - from;
    written += text.slice(from, span.ownEnd) + eosText;
    from = span.ownEnd;
    return {
      ...span,
      start: span.start + before,
      ownEnd: span.ownEnd + before,
      end: span.end + before + eosText.length,
    };
  });
  return { text: written + text.slice(from), spans: moved };
}

/** Token numbers of an answer: its first, and the one behind its end token. */
interface AnswerTokens {
  first: number;
  stop: number;
}

interface EncodedAnswers {
  ids: number[];
  texts: string[];
  answers: AnswerTokens[];
}

/** The tokens of a text and of its answers; null when one has no end token. */
function encodeAnswers({ text, spans }: RenderedAnswers, tokenizer: TextTokenizer): EncodedAnswers | null {
  const ids = tokenizer.encode(text);
  const tokensUntil = tokenCounter(text, ids, tokenizer);
  const answers: AnswerTokens[] = [];
  for (const { start, ownEnd, end } of spans) {
    const first = tokensUntil(start);
    const afterOwn = tokensUntil(ownEnd);
    const stop = endOfAnswer(ids, { first, afterOwn, afterTurn: tokensUntil(end) }, tokenizer);
    if (stop === null) return null;
    answers.push({ first, stop });
  }
  return { ids, answers, texts: [text] };
}

/** The tokens of a text with an end token behind each answer, for tokenizers that do not read the one that is written there. */
function encodePieces({ text, spans }: RenderedAnswers, tokenizer: TextTokenizer): EncodedAnswers {
  const ids: number[] = [];
  const texts: string[] = [];
  let from = 0;
  const answers = spans.map(({ start, ownEnd }) => {
    const piece = text.slice(from, ownEnd);
    const pieceIds = tokenizer.encode(piece);
    const first = ids.length + tokenCounter(piece, pieceIds, tokenizer)(start - from);
    ids.push(...pieceIds, tokenizer.eosId);
    texts.push(piece);
    from = ownEnd + (text.startsWith(tokenizer.eosText, ownEnd) ? tokenizer.eosText.length : 0);
    return { first, stop: ids.length };
  });
  const rest = text.slice(from);
  ids.push(...tokenizer.encode(rest));
  return { ids, answers, texts: [...texts, rest] };
}

/**
 * Behind which token learning stops: the first end token that the template writes behind the answer, or the last special one of the turn,
 * or the end token that the answer itself ends with. What the template writes after that, a line break say, is not learned. Null: there is none.
 */
function endOfAnswer(
  ids: readonly number[],
  { first, afterOwn, afterTurn }: { first: number; afterOwn: number; afterTurn: number },
  { eosIds, specialIds }: TextTokenizer,
): number | null {
  const tail = ids.slice(afterOwn, afterTurn);
  const end = tail.findIndex((id) => eosIds.includes(id));
  if (end >= 0) return afterOwn + end + 1;
  const special = tail.findLastIndex((id) => specialIds.has(id));
  if (special >= 0) return afterOwn + special + 1;
  return afterOwn > first && eosIds.includes(ids[afterOwn - 1] as number) ? afterOwn : null;
}

/** How many tokens end at or before a position of the text. */
function tokenCounter(text: string, ids: readonly number[], tokenizer: TextTokenizer): (position: number) => number {
  const ends = tokenizer.byteEnds(text, ids);
  if (ends === null) {
    return (position) =>
      position === text.length ? ids.length : commonLength(tokenizer.encode(text.slice(0, position)), ids);
  }
  let from = 0;
  let bytes = 0;
  return (position) => {
    if (position === text.length) return ids.length;
    bytes =
      position < from
        ? Buffer.byteLength(text.slice(0, position))
        : bytes + Buffer.byteLength(text.slice(from, position));
    from = position;
    return countUntil(ends, bytes);
  };
}

/** How many of the ascending numbers are at most `limit`. */
function countUntil(ascending: Int32Array, limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] as number) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function holdsSpecial(message: ChatMessage, tokenizer: TextTokenizer): boolean {
  const { content, reasoning_content, reasoning, thinking, tool_calls } = message;
  const texts = [content, reasoning_content, reasoning, thinking].filter((text) => typeof text === 'string');
  return texts.some(tokenizer.holdsSpecial) || (tool_calls !== undefined && tokenizer.holdsSpecial(textOf(tool_calls)));
}

const textOf = (calls: readonly unknown[]): string =>
  JSON.stringify(calls, (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value instanceof Map ? [...value] : value,
  );
