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
  /** Canaries that are not measured again, the first ones: planted, then controls. */
  from?: number;
  /** Told after every pass. */
  onPass?: () => void;
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

/** Planted canaries, then controls: the order of their rows. */
export const canariesOf = ({ planted, controls }: CanaryFile): { canary: Canary; is_planted: boolean }[] => [
  ...planted.map((canary) => ({ canary, is_planted: true })),
  ...controls.map((canary) => ({ canary, is_planted: false })),
];

/**
 * Exposure of every canary and what the model writes after its prompt. A candidate is scored as the row that it would be in training: the sum over what
 * is learned of it, as the loss evaluator sums it; answers are greedy. A row is the same to the bit wherever measuring began.
 * @param emit given each row once its candidates are scored
 * @throws AppError as `evaluateItems` does
 */
export async function measureCanaries(
  options: MeasureOptions,
  emit: (row: CanaryRow) => void,
): Promise<'done' | 'stopped'> {
  const { canaries, onProgress, from = 0 } = options;
  const all = canariesOf(canaries);
  const each = candidateCount(canaries.kind);
  const together = Math.max(1, Math.floor(CANDIDATES_TOGETHER / each));
  for (let first = from - (from % together); first < all.length; first += together) {
    const group = all.slice(first, first + together);
    const of = group.map(({ canary }) => canary);
    const known = Math.max(0, from - first);
    const answers = await answersTo(options, of, known);
    if (answers === null) return 'stopped';
    const scored = (done: number) => onProgress?.((first + known) * each + done, all.length * each);
    const ended = await scoresOf(options, of, known, scored, (scores, i) => {
      const { canary, is_planted } = group[known + i] as (typeof group)[number];
      emit(rowOf(canary, is_planted, scores, answers[i] ?? ''));
    });
    if (ended === 'stopped') return 'stopped';
  }
  return 'done';
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

/** Hands on the log-probabilities of the candidates of each canary behind `known` ones, its own value first. */
async function scoresOf(
  { model, canaries, ...options }: MeasureOptions,
  group: readonly Canary[],
  known: number,
  onScored: (done: number) => void,
  give: (scores: number[], i: number) => void,
): Promise<'done' | 'stopped'> {
  const each = candidateCount(canaries.kind);
  const items = group.flatMap((canary) =>
    candidatesOf(canaries, canary).map((value) => ({
      id: canary.id,
      prompt: canary.prompt,
      task: { kind: 'loss' as const, row: canaryRow(canaries, canary, value) },
    })),
  );
  let scores: number[] = [];
  let given = 0;
  return evaluateItems(
    { model, suite: requireSuite(PLAIN_SUITE), items: placed(items), from: known * each, ...watchedBy(options) },
    ({ metrics }) => {
      scores.push(-(metrics.nats ?? Number.NaN));
      onScored(given * each + scores.length);
      if (scores.length < each) return;
      give(scores, given++);
      scores = [];
    },
  );
}

/** What the model writes after the prompt of each canary behind `known` ones, as many tokens as the longest value takes. */
async function answersTo(options: MeasureOptions, group: readonly Canary[], known: number): Promise<string[] | null> {
  const { model, canaries } = options;
  const values = canariesOf(canaries).map(({ canary }) => canary.value);
  const longest = Math.max(...values.map((value) => model.tokenizer.encode(` ${value}`).length));
  const items = group.map(({ id, prompt, value }) => ({
    id,
    prompt,
    task: {
      kind: 'generate' as const,
      context: prompt,
      isTurn: canaries.row_format !== 'text',
      stops: ['\n'],
      tokensMax: longest + SPARE_TOKENS,
      expected: value,
      check: { type: 'answer' as const },
    },
  }));
  const answers: string[] = [];
  const ended = await evaluateItems(
    { model, suite: requireSuite('answers'), items: placed(items), from: known, ...watchedBy(options) },
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

const watchedBy = ({ mode, isStopped, onPass }: Pick<MeasureOptions, 'mode' | 'isStopped' | 'onPass'>) => ({
  ...(mode === undefined ? {} : { mode }),
  ...(isStopped === undefined ? {} : { isStopped }),
  ...(onPass === undefined ? {} : { onPass }),
});
