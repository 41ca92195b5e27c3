import { AppError, IGNORED, type ReadAs } from '@moraine/contract';
import type { EvaluationItem } from '@moraine/contract/suites';
import {
  encodeRow,
  isTextToken,
  type RowTask,
  type SuiteItem,
  type TextTokenizer,
  type TrainingRow,
} from '@moraine/data';
import type { Request, RequestScores } from './requests.js';

/** A row as a run reads it: one pass, several where each answer of a conversation makes one, or none where it is left out. */
export interface LossRequests {
  rows: TrainingRow[];
  requests: Request[];
}

/** @throws AppError `user_data` where nothing of the row is scored, unless it is read as runs read it, which leave such rows out. */
export function lossRequests(
  { id }: SuiteItem,
  { row }: RowTask,
  tokenizer: TextTokenizer,
  { maxPositions, readAs }: { maxPositions: number; readAs: ReadAs | null },
): LossRequests {
  const maxSeqLen = Math.min(maxPositions, readAs?.maxSeqLen ?? maxPositions);
  const overLength = readAs?.overLength ?? 'truncate';
  const rows: TrainingRow[] = [];
  for (const encoded of encodeRow(row, tokenizer, { maxSeqLen, overLength, countsBytes: true }))
    if ('row' in encoded) rows.push(encoded.row);
  if (rows.length > 0 || readAs !== null) return { rows, requests: rows.map(requestOf) };
  throw new AppError(
    'user_data',
    `Line ${id}: nothing of the row is scored: its prompt fills the base's context, or it has no answer.`,
    {
      param: `line ${id}`,
      hint: `The base reads ${maxPositions} tokens: shorten the prompt, or leave the row out.`,
    },
  );
}

function requestOf({ ids, labels }: TrainingRow): Request {
  const places = labels.flatMap((label, i) => (i > 0 && label !== IGNORED ? [i] : []));
  return {
    ids: ids.slice(0, Math.max(1, ids.length - 1)),
    positions: places.map((place) => place - 1),
    targets: places.map((place) => labels[place] as number),
  };
}

/**
 * The sums that loss and bits per byte are made of. `nats` and `tokens` are over all that is learned, as training counts; `text_nats` and `bytes` over
 * the text alone, without the tokens that end an answer, so that they compare across tokenizers.
 */
export function judgeRow(
  { index, id, prompt }: SuiteItem,
  { row }: RowTask,
  scored: readonly RequestScores[],
  { rows, requests }: LossRequests,
  tokenizer: TextTokenizer,
): EvaluationItem {
  const sums = { nats: 0, tokens: 0, correct: 0, text_nats: 0, bytes: 0 };
  for (const [i, { targets }] of requests.entries()) {
    const { logprobs = [], isBest = [] } = scored[i] ?? {};
    for (const [t, target] of targets.entries()) {
      const nats = -(logprobs[t] ?? Number.NaN);
      sums.nats += nats;
      sums.tokens += 1;
      if (isBest[t]) sums.correct += 1;
      if (isTextToken(target, tokenizer)) sums.text_nats += nats;
    }
    sums.bytes += rows[i]?.bytes ?? 0;
  }
  const isAsked =
    rows.length > 0 &&
    rows.every(({ promptLength, isTruncated }) => promptLength > 0 && !isTruncated) &&
    row.format !== 'text';
  const isExact = sums.correct === sums.tokens;
  return {
    index,
    id,
    prompt,
    answer: null,
    expected: row.format === 'prompt_completion' ? row.completion : null,
    metrics: isAsked ? { ...sums, exact_match: isExact ? 1 : 0 } : sums,
    verdict: isAsked ? (isExact ? 'right' : 'wrong') : null,
  };
}
