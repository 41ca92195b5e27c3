import type { EvaluationItem } from '@moraine/contract/suites';

/** What lm_eval gave for an item. */
export interface ReferenceItem {
  task: string;
  index: number;
  scores: number[];
  acc?: number;
  acc_norm?: number;
  acc_bytes?: number;
}

export interface Comparison {
  items: number;
  scores: number;
  /** Largest |Δ| and largest |Δ| as a share of what is allowed. */
  deltaMax: number;
  shareMax: number;
  /** Items with a score further off than allowed. */
  apart: string[];
  /** Decisions that differ though the best two lie apart, and those that differ within a tie. */
  decisions: string[];
  ties: string[];
}

/** How far a log-likelihood may be off. */
export const allowed = (score: number): number => 1e-4 + 1e-6 * Math.abs(score);
/** Two choices that are nearer than this are a tie. */
const TIE = 2e-4;

/** Our items beside lm_eval's, item by item. */
export function compareItems(ours: readonly EvaluationItem[], theirs: readonly ReferenceItem[]): Comparison {
  const found: Comparison = { items: 0, scores: 0, deltaMax: 0, shareMax: 0, apart: [], decisions: [], ties: [] };
  if (ours.length !== theirs.length) found.apart.push(`${ours.length} items of ours, ${theirs.length} of lm_eval`);
  for (const [i, item] of ours.entries()) {
    const other = theirs[i];
    if (other !== undefined) compareItem(item, other, found);
  }
  return found;
}

function compareItem(item: EvaluationItem, other: ReferenceItem, found: Comparison): void {
  const name = `${other.task} ${item.id}`;
  const { scores = [], choices = [] } = item;
  found.items += 1;
  found.scores += scores.length;
  for (const [i, score] of scores.entries()) {
    const delta = Math.abs(score - (other.scores[i] ?? Number.NaN));
    found.deltaMax = Math.max(found.deltaMax, delta);
    found.shareMax = Math.max(found.shareMax, delta / allowed(score));
    if (!(delta <= allowed(score))) found.apart.push(`${name}: ${score} and ${other.scores[i]}`);
  }
  const lengths = {
    acc: () => 1,
    acc_norm: (choice: string) => [...choice].length,
    acc_bytes: (choice: string) => Buffer.byteLength(choice),
  };
  for (const [figure, lengthOf] of Object.entries(lengths)) {
    const theirs = other[figure as keyof typeof lengths];
    if (theirs === undefined || theirs === item.metrics[figure]) continue;
    const ranked = scores.map((score, c) => score / lengthOf(choices[c] ?? '')).sort((a, b) => b - a);
    const gap = (ranked[0] ?? 0) - (ranked[1] ?? 0);
    (gap <= TIE ? found.ties : found.decisions).push(`${name}: ${figure}, ${gap} apart`);
  }
}
