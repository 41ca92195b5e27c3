import { AppError } from '../errors.js';
import {
  bootstrapDifference,
  compareVerdicts,
  type Difference,
  type Interval,
  wilsonInterval,
} from '../stats/index.js';

/** McNemar's exact p from which on a difference may be chance. */
const SIGNIFICANT = 0.05;

/** A row that both models answered. */
export interface AnsweredRow {
  id: string;
  question: string;
  expected: string;
  ours: string;
  theirs: string;
  isOursRight: boolean;
  isTheirsRight: boolean;
}

export interface Share extends Interval {
  right: number;
  value: number;
}

/** What two models' answers to the same rows come to. Differences are ours less theirs. */
export interface AnswerComparison {
  n: number;
  ours: Share;
  theirs: Share;
  /** Of the shares that are right, paired by row, with its 95 % interval. */
  difference: Difference;
  /** Who alone got how many right, and McNemar's exact p. */
  verdicts: { both: number; onlyOurs: number; onlyTheirs: number; neither: number; p: number };
  decision: 'better' | 'worse' | 'open';
  /** Letters of an answer on average, and their paired difference. */
  length: { ours: number; theirs: number; difference: Difference };
  /** Rows whose answers are the same text. */
  same: number;
  /** Rows that one of them alone got right: first those that ours lost. */
  changed: AnsweredRow[];
}

/**
 * Compares two models by their answers to the same rows, with the statistics of evaluations: Wilson's interval of each share, the paired bootstrap of the
 * difference, McNemar's exact test. @throws AppError `invalid_value` without a row.
 */
export function compareAnswers(rows: readonly AnsweredRow[]): AnswerComparison {
  if (rows.length === 0)
    throw new AppError('invalid_value', 'There is no row with an answer of both models.', {
      hint: 'Compare on rows that the old model answered.',
    });
  const [ours, theirs] = [rows.map((row) => row.isOursRight), rows.map((row) => row.isTheirsRight)];
  const difference = bootstrapDifference(ours.map(Number), theirs.map(Number));
  const { bothRight, onlyFirst, onlySecond, bothWrong, p } = compareVerdicts(ours, theirs);
  const lengths = (['ours', 'theirs'] as const).map((who) => rows.map((row) => [...row[who]].length));
  const [own = [], other = []] = lengths;
  return {
    n: rows.length,
    ours: shareOf(ours),
    theirs: shareOf(theirs),
    difference,
    verdicts: { both: bothRight, onlyOurs: onlyFirst, onlyTheirs: onlySecond, neither: bothWrong, p },
    decision: decide(difference, p),
    length: { ours: meanOf(own), theirs: meanOf(other), difference: bootstrapDifference(own, other) },
    same: rows.filter((row) => row.ours === row.theirs).length,
    changed: [
      ...rows.filter((row) => row.isTheirsRight && !row.isOursRight),
      ...rows.filter((row) => row.isOursRight && !row.isTheirsRight),
    ],
  };
}

/** Nothing is said of rows that are too few: where all of them differ the same way, the bootstrap has no width however few they are. */
const decide = ({ low, high }: Difference, p: number): AnswerComparison['decision'] => {
  if (p >= SIGNIFICANT) return 'open';
  return low > 0 ? 'better' : high < 0 ? 'worse' : 'open';
};

function shareOf(verdicts: readonly boolean[]): Share {
  const right = verdicts.filter(Boolean).length;
  return { right, value: right / verdicts.length, ...wilsonInterval(right, verdicts.length) };
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
