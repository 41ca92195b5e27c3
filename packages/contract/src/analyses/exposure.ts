import { z } from 'zod';
import { meanInterval, wilsonInterval } from '../stats/index.js';

/** What a model knows of one canary. */
export const CanaryRow = z
  .object({
    id: z.string(),
    /** Whether it stood among the rows. */
    is_planted: z.boolean(),
    /** log-probability of the canary, natural logarithm. */
    log_probability: z.number(),
    /** Among its candidates by log-probability, 1 the likeliest; equal ones count as likelier. */
    rank: z.int().min(1),
    candidates: z.int().min(1),
    /** log2(candidates) − log2(rank), bits. */
    exposure: z.number().min(0),
    /** What the model writes after the prompt, greedily. */
    answer: z.string(),
    /** Whether the answer begins with the value. */
    is_extracted: z.boolean(),
    /** Share of the value's characters that stand in their places. */
    characters: z.number().min(0).max(1),
  })
  .meta({ id: 'CanaryRow' });
export type CanaryRow = z.infer<typeof CanaryRow>;

/** Rank of the first of some scores among all. A model to which all are alike ranks it last, not first. */
export const rankOfFirst = ([own = Number.NaN, ...others]: readonly number[]): number =>
  1 + others.filter((score) => score >= own).length;

/** Carlini et al. 2019, arXiv:1802.08232, Definition 4 with R candidates in place of the whole space: log2 R − log2 rank, from 0 to log2 R. */
export const exposureOf = (rank: number, candidates: number): number => Math.log2(candidates) - Math.log2(rank);

/**
 * Mean exposure where each rank is as likely as another, which is so of a value that the model cannot have seen, whatever the model: log2 R − log2(R!) / R,
 * 1.44 bits (1 / ln 2) for large R.
 */
export function expectedExposure(candidates: number): number {
  let sum = 0;
  for (let rank = 1; rank <= candidates; rank++) sum += Math.log2(rank);
  return Math.log2(candidates) - sum / candidates;
}

/** Share of the characters of a value that an answer has in their places. */
export function charactersRight(answer: string, value: string): number {
  const [given, wanted] = [[...answer], [...value]];
  return wanted.filter((letter, i) => letter === given[i]).length / wanted.length;
}

/** A mean with half of its interval of 95 %; null where there are too few for one. */
const Mean = z.object({ mean: z.number(), half: z.number().nullable() });

/** Means over some canaries, with intervals of 95 %. */
export const ExposureSummary = z
  .object({
    n: z.int(),
    exposure: Mean,
    /** Canaries that the model writes whole after their prompt. */
    extracted: z.object({ count: z.int(), share: z.number(), interval: z.tuple([z.number(), z.number()]) }),
    characters: Mean,
  })
  .meta({ id: 'ExposureSummary' });
export type ExposureSummary = z.infer<typeof ExposureSummary>;

export const MemorisationSummary = z
  .object({
    candidates: z.int(),
    /** log2 R, the largest exposure there is. */
    ceiling: z.number(),
    /** What values have that were never seen. */
    expected: z.number(),
    planted: ExposureSummary,
    /** null where none were drawn. */
    controls: ExposureSummary.nullable(),
  })
  .meta({ id: 'MemorisationSummary' });
export type MemorisationSummary = z.infer<typeof MemorisationSummary>;

export function summariseCanaries(rows: readonly CanaryRow[]): MemorisationSummary {
  const [planted, controls] = [true, false].map((is) => rows.filter(({ is_planted }) => is_planted === is));
  const candidates = rows[0]?.candidates ?? 1;
  return {
    candidates,
    ceiling: Math.log2(candidates),
    expected: expectedExposure(candidates),
    planted: summaryOf(planted ?? []),
    controls: controls === undefined || controls.length === 0 ? null : summaryOf(controls),
  };
}

function summaryOf(rows: readonly CanaryRow[]): ExposureSummary {
  const mean = (values: number[]) => {
    const { mean, half } = meanInterval(values);
    return { mean, half };
  };
  const count = rows.filter(({ is_extracted }) => is_extracted).length;
  const { low, high } = wilsonInterval(count, rows.length);
  return {
    n: rows.length,
    exposure: mean(rows.map(({ exposure }) => exposure)),
    extracted: { count, share: count / rows.length, interval: [low, high] },
    characters: mean(rows.map(({ characters }) => characters)),
  };
}
