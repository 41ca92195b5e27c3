import type { EvaluationItem } from '@moraine/contract/suites';
import type { ScoredItemModel } from '../ground/generated/models.js';

/** An item as the wire has it. */
export const toItem = (row: Omit<ScoredItemModel, 'samples'> & Partial<ScoredItemModel>): EvaluationItem => ({
  index: row.index,
  id: row.itemId,
  prompt: row.prompt,
  ...(row.choices === null ? {} : { choices: row.choices as string[] }),
  ...(row.scores === null ? {} : { scores: row.scores as number[] }),
  answer: row.answer,
  expected: row.expected,
  metrics: row.metrics as EvaluationItem['metrics'],
  verdict: row.verdict as EvaluationItem['verdict'],
  ...(row.problem === null ? {} : { problem: row.problem }),
  ...(row.samples == null ? {} : { samples: row.samples as EvaluationItem['samples'] }),
});
