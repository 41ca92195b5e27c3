import { readFileSync } from 'node:fs';
import { AppError } from '@moraine/contract';
import {
  type Canary,
  CanaryFile,
  type CanaryRow,
  candidateCount,
  candidatesOf,
  charactersRight,
  exposureOf,
  rankOfFirst,
} from '@moraine/contract/analyses';
import { PLAIN_SUITE } from '@moraine/contract/suites';
import { requireSuite, type SuiteItem } from '@moraine/data';
import type { NumericMode } from '@moraine/engine';
import { evaluateItems } from '../evaluate/evaluate-items.js';
import type { OpenModel } from '../evaluate/open-model.js';
import { canaryRow } from './canary-rows.js';

export interface MeasureOptions {
  model: OpenModel;
  canaries: CanaryFile;
  mode?: NumericMode;
  isStopped?: () => boolean;
  /** Told how many candidates of all are scored. */
  onProgress?: (done: number, all: number) => void;
}

/** Reads what `plantCanaries` wrote. @throws AppError `not_found`, `invalid_file`. */
export function readCanaries(file: string): CanaryFile {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new AppError('invalid_file', `${file} cannot be read as JSON.`, { hint: asPlanted, cause });
  }
  const parsed = CanaryFile.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new AppError('invalid_file', `${file}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim(), {
    hint: asPlanted,
  });
}

const asPlanted = 'Name the canaries.json that `moraine local canaries plant` wrote.';

/** Candidates that are encoded before the first pass; the model is compiled once for so many. */
const CANDIDATES_TOGETHER = 2 ** 16;

/**
 * Exposure of every canary and what the model writes after its prompt. A candidate is scored as the row that it would be in training: the sum over what
 * is learned of it, as the loss evaluator sums it; answers are greedy.
 * @returns null where it was stopped
 * @throws AppError as `evaluateItems` does
 */
export async function measureCanaries(options: MeasureOptions): Promise<CanaryRow[] | null> {
  const { canaries, onProgress } = options;
  const all = [
    ...canaries.planted.map((canary) => ({ canary, is_planted: true })),
    ...canaries.controls.map((canary) => ({ canary, is_planted: false })),
  ];
  const answers = await answersTo(
    options,
    all.map(({ canary }) => canary),
  );
  if (answers === null) return null;
  const rows: CanaryRow[] = [];
  const each = candidateCount(canaries.kind);
  const together = Math.max(1, Math.floor(CANDIDATES_TOGETHER / each));
  for (let first = 0; first < all.length; first += together) {
    const group = all.slice(first, first + together);
    const scored = (done: number) => onProgress?.(first * each + done, all.length * each);
    const scores = await scoresOf(options, group.map(({ canary }) => canary), scored); // biome-ignore format: one line
    if (scores === null) return null;
    for (const [i, { canary, is_planted }] of group.entries())
      rows.push(rowOf(canary, is_planted, scores.slice(i * each, (i + 1) * each), answers[first + i] ?? ''));
  }
  return rows;
}

function rowOf(canary: Canary, is_planted: boolean, scores: readonly number[], answer: string): CanaryRow {
  const rank = rankOfFirst(scores);
  const written = answer.trimStart();
  return {
    id: canary.id,
    is_planted,
    log_probability: scores[0] ?? Number.NaN,
    rank,
    candidates: scores.length,
    exposure: exposureOf(rank, scores.length),
    answer: written,
    is_extracted: written.startsWith(canary.value),
    characters: charactersRight(written, canary.value),
  };
}

/** Log-probabilities of each canary's candidates, its own value first, one canary after the other. */
async function scoresOf(
  { model, canaries, mode, isStopped }: MeasureOptions,
  group: readonly Canary[],
  onScored: (done: number) => void,
): Promise<number[] | null> {
  const items = group.flatMap((canary) =>
    candidatesOf(canaries, canary).map((value) => ({
      id: canary.id,
      prompt: canary.prompt,
      task: { kind: 'loss' as const, row: canaryRow(canaries, canary, value) },
    })),
  );
  const scores: number[] = [];
  const ended = await evaluateItems(
    { model, suite: requireSuite(PLAIN_SUITE), items: placed(items), ...given(mode, isStopped) },
    ({ metrics }) => {
      onScored(scores.push(-(metrics.nats ?? Number.NaN)));
    },
  );
  return ended === 'stopped' ? null : scores;
}

/** What the model writes after each prompt, as many tokens as the value takes. */
async function answersTo(options: MeasureOptions, canaries: readonly Canary[]): Promise<string[] | null> {
  const { model, mode, isStopped } = options;
  const longest = Math.max(...canaries.map(({ value }) => model.tokenizer.encode(` ${value}`).length));
  const items = canaries.map(({ id, prompt, value }) => ({
    id,
    prompt,
    task: {
      kind: 'generate' as const,
      context: prompt,
      isTurn: options.canaries.row_format !== 'text',
      stops: ['\n'],
      tokensMax: longest + SPARE_TOKENS,
      expected: value,
      check: { type: 'answer' as const },
    },
  }));
  const answers: string[] = [];
  const ended = await evaluateItems(
    { model, suite: requireSuite('answers'), items: placed(items), ...given(mode, isStopped) },
    ({ answer }) => {
      answers.push(answer ?? '');
    },
  );
  return ended === 'stopped' ? null : answers;
}

/** A value may be written in other tokens than those it is encoded in. */
const SPARE_TOKENS = 8;

const placed = (items: readonly Omit<SuiteItem, 'index'>[]): SuiteItem[] =>
  items.map((item, index) => ({ ...item, index }));

const given = (mode: NumericMode | undefined, isStopped: (() => boolean) | undefined) => ({
  ...(mode === undefined ? {} : { mode }),
  ...(isStopped === undefined ? {} : { isStopped }),
});
