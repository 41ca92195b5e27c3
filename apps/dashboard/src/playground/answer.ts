import type { ChatChunk } from '@moraine/contract/serving';

/** A token of an answer; `logprob` in nats. */
export interface AnswerToken {
  text: string;
  logprob: number;
}

/** An answer as far as it has come. Times are milliseconds since it was asked. */
export interface Answer {
  text: string;
  tokens: AnswerToken[];
  firstTokenMs: number | null;
  lastTokenMs: number | null;
  finishReason: string | null;
  /** Of the usage that ends the stream; until then the tokens that were told. */
  completionTokens: number | null;
}

export const NO_ANSWER: Answer = {
  text: '',
  tokens: [],
  firstTokenMs: null,
  lastTokenMs: null,
  finishReason: null,
  completionTokens: null,
};

type Chunk = Pick<ChatChunk, 'choices' | 'usage'>;

/** The answer with one more event of its stream, which came `atMs` after the question. */
export function withChunk(answer: Answer, { choices, usage }: Chunk, atMs: number): Answer {
  const [choice] = choices;
  const content = choice?.delta.content ?? '';
  const told = (choice?.logprobs?.content ?? []).map(({ token, logprob }) => ({ text: token, logprob }));
  const hasMore = content !== '' || told.length > 0;
  return {
    text: answer.text + content,
    tokens: told.length > 0 ? [...answer.tokens, ...told] : answer.tokens,
    firstTokenMs: answer.firstTokenMs ?? (hasMore ? atMs : null),
    lastTokenMs: hasMore ? atMs : answer.lastTokenMs,
    finishReason: choice?.finish_reason ?? answer.finishReason,
    completionTokens: usage?.completion_tokens ?? answer.completionTokens,
  };
}

/** Tokens a second after the first one; null for fewer than two. */
export function speedOf({ firstTokenMs, lastTokenMs, completionTokens, tokens }: Answer): number | null {
  const count = completionTokens ?? tokens.length;
  if (firstTokenMs === null || lastTokenMs === null || lastTokenMs <= firstTokenMs || count < 2) return null;
  return ((count - 1) * 1000) / (lastTokenMs - firstTokenMs);
}

/** A part of an answer; `at` is where in the text it begins. */
export interface Piece {
  at: number;
  text: string;
  logprob: number | null;
}

/**
 * The text in pieces with the log-probability of each; what no token was told of has none. One piece without any where tokens and text do not agree:
 * letters that are several tokens have no text of their own in each.
 */
export function piecesOf({ text, tokens }: Answer): Piece[] {
  const said = tokens.map((token) => token.text);
  // Some tokenizers write a space before the first word, which no text has.
  if (said[0]?.startsWith(' ') && !text.startsWith(' ')) said[0] = said[0].slice(1);
  const shown = said.join('');
  // The token that ended the answer is told and not part of its text.
  if (!text.startsWith(shown) && !shown.startsWith(text)) return [{ at: 0, text, logprob: null }];
  const pieces: Piece[] = [];
  let at = 0;
  for (const [place, { length }] of said.entries()) {
    const part = text.slice(at, at + length);
    if (part !== '') pieces.push({ at, text: part, logprob: tokens[place]?.logprob ?? null });
    at += length;
  }
  return at < text.length ? [...pieces, { at, text: text.slice(at), logprob: null }] : pieces;
}

/** At this log-probability (one of 150) the shade is as strong as it gets. */
const FAINTEST = -5;

/** How strongly a token is shaded, 0 to 1: the less the model expected it, the more. */
export const shadeOf = (logprob: number | null): number =>
  logprob === null ? 0 : Math.min(1, Math.max(0, logprob / FAINTEST));
