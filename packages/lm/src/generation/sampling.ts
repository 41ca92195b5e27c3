import { AppError } from '@moraine/contract';
import type { Random } from '../random.js';

export interface Sampling {
  /** Logits are divided by this; 0 takes the likeliest token. */
  temperature: number;
  /** Only the likeliest tokens whose probabilities add up to this are drawn from; 1 is all (Holtzman et al. 2019, arXiv:1904.09751, §3.1). */
  topP: number;
  /** Only so many of the likeliest tokens are drawn from; 0 is all (Fan et al. 2018, arXiv:1805.04833, §5.4). Applied before topP. */
  topK: number;
  /** Only tokens with this share of the likeliest one's probability are drawn from; absent or 0 is all (Nguyen et al. 2024, arXiv:2407.01082, §3). Applied last. */
  minP?: number | undefined;
}

/**
 * Draws a token from logits [V] as transformers does: divide by the temperature, keep the topK likeliest, keep of those the nucleus topP
 * (their probabilities taken among themselves), keep what minP leaves, draw. One number of `random` is used, none when the temperature is 0.
 */
export function sampleToken(
  logits: Float32Array,
  { temperature, topP, topK, minP = 0 }: Sampling,
  random: Random,
): number {
  const best = argMax(logits);
  if (temperature === 0) return best;
  const max = logits[best] ?? 0;
  const weights = new Float64Array(logits.length); // probabilities, not yet divided by their sum
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    const weight = Math.exp(((logits[id] ?? 0) - max) / temperature);
    weights[id] = weight;
    total += weight;
  }
  const likely = (ids: readonly number[]) => (minP === 0 ? ids : ids.filter((id) => (weights[id] ?? 0) >= minP));
  if (topK > 0 && topK < logits.length) {
    const ids = topIds(logits, topK);
    return draw(likely(nucleus(ids, weights, topP * sumOf(ids, weights))), weights, random);
  }
  if (topP < 1) return draw(likely(nucleus(possible(weights, total, topP), weights, topP * total)), weights, random);
  if (minP > 0) return draw(likely(Array.from(weights, (_, id) => id)), weights, random);
  return drawAny(weights, total, random);
}

/**
 * The ids that can be in the nucleus, likeliest first. A token under (1 - topP) / V of all probability cannot: all such together have
 * less than 1 - topP. That leaves few to sort.
 */
function possible(weights: Float64Array, total: number, topP: number): number[] {
  const floor = ((1 - topP) / weights.length) * total;
  const ids: number[] = [];
  for (let id = 0; id < weights.length; id++) if ((weights[id] ?? 0) >= floor) ids.push(id);
  return ids.sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
}

/** The shortest beginning of `ids` (likeliest first) whose weights reach `wanted`; never empty. */
function nucleus(ids: readonly number[], weights: Float64Array, wanted: number): readonly number[] {
  let sum = 0;
  const last = ids.findIndex((id) => {
    sum += weights[id] ?? 0;
    return sum >= wanted;
  });
  return last < 0 ? ids : ids.slice(0, last + 1);
}

const sumOf = (ids: readonly number[], weights: Float64Array): number =>
  ids.reduce((sum, id) => sum + (weights[id] ?? 0), 0);

function draw(ids: readonly number[], weights: Float64Array, random: Random): number {
  let left = random() * sumOf(ids, weights);
  for (const id of ids) {
    left -= weights[id] ?? 0;
    if (left < 0) return id;
  }
  return ids[0] ?? 0; // rounding only
}

function drawAny(weights: Float64Array, total: number, random: Random): number {
  let left = random() * total;
  for (let id = 0; id < weights.length; id++) {
    left -= weights[id] ?? 0;
    if (left < 0) return id;
  }
  return weights.indexOf(1); // rounding only: the likeliest has weight 1
}

/** Index of the highest number, the first of equal ones. */
export function argMax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] ?? 0) > (values[best] ?? 0)) best = i;
  return best;
}

/** Ids of the `count` highest logits, highest first; of equal ones the lower id. */
export function topIds(logits: Float32Array, count: number): number[] {
  const top: number[] = [];
  const value = (place: number) => logits[top[place] ?? 0] ?? 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] ?? 0;
    if (top.length === count && !(logit > value(count - 1))) continue;
    let place = top.length === count ? count - 1 : top.length;
    while (place > 0 && logit > value(place - 1)) place -= 1;
    if (top.length === count) top.pop();
    top.splice(place, 0, id);
  }
  return top;
}

/** Log-probabilities of some ids under logits [V] at temperature 1, natural logarithm. */
export function logProbabilities(logits: Float32Array, ids: readonly number[]): number[] {
  const max = logits[argMax(logits)] ?? 0;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const logSum = max + Math.log(sum);
  return ids.map((id) => (logits[id] ?? Number.NaN) - logSum);
}

/** What is added to logits before a token is chosen. */
export interface Leaning {
  /** Taken from the logit of every token that the answer has already, as OpenAI's API defines it; 0 is none. */
  presencePenalty?: number | undefined;
  /** The same as often as the answer has it. */
  frequencyPenalty?: number | undefined;
  /** Added to the logit of a token, by its id. */
  logitBias?: ReadonlyMap<number, number> | undefined;
}

export const leans = ({ presencePenalty = 0, frequencyPenalty = 0, logitBias }: Leaning): boolean =>
  presencePenalty !== 0 || frequencyPenalty !== 0 || (logitBias?.size ?? 0) > 0;

/** The logits that a token is chosen by: a copy, or the same where nothing is added. */
export function leaningLogits(logits: Float32Array, ids: readonly number[], leaning: Leaning): Float32Array {
  if (!leans(leaning)) return logits;
  const { presencePenalty = 0, frequencyPenalty = 0, logitBias = new Map() } = leaning;
  const leant = logits.slice();
  const add = (id: number, value: number): void => {
    leant[id] = (leant[id] ?? 0) + value;
  };
  for (const id of new Set(ids)) add(id, -presencePenalty);
  for (const id of ids) add(id, -frequencyPenalty);
  for (const [id, bias] of logitBias) add(id, bias);
  return leant;
}

/**
 * The logits with those of tokens that a mask [V] leaves out at -∞: a copy, or the same without a mask.
 * @throws AppError `invalid_value` where it leaves no token.
 */
export function allowedLogits(logits: Float32Array, mask: Uint8Array | null): Float32Array {
  if (mask === null) return logits;
  if (mask.includes(1)) return logits.map((logit, id) => (mask[id] === 1 ? logit : Number.NEGATIVE_INFINITY));
  throw new AppError('invalid_value', 'No token of the vocabulary can go on with the answer as it is asked for.', {
    hint: 'The base lacks letters that this form of answer needs: leave the form out.',
  });
}
