import { AppError } from '@moraine/contract';
import { createRandom, mix32, type Random } from '../random.js';
import type { Constraint } from './constraint/constraint.js';
import type { GenerateOptions } from './options.js';
import { allowedLogits, argMax, leaningLogits, logProbabilities, sampleToken, topIds } from './sampling.js';
import { cutAt } from './stopping.js';

export interface TokenProbability {
  id: number;
  /** Natural logarithm, at temperature 1 and over the whole vocabulary. */
  logprob: number;
}

/** A row's next token, and the likeliest ones there. */
export interface Choice extends TokenProbability {
  top: TokenProbability[];
}

/** One prompt and what has been answered so far. */
export interface Row {
  prompt: readonly number[];
  random: Random;
  constraint: Constraint | null;
  /** How many tokens of the prompt were held already. */
  cached: number;
  ids: number[];
  logprobs: number[];
  top: TokenProbability[][];
  text: string | null;
  /** The stop token that ended the answer, which is not part of it. */
  ending: Choice | null;
  /** Null while the answer goes on. */
  finishReason: 'stop' | 'length' | 'cancelled' | null;
}

export function openRow(
  prompt: readonly number[],
  { seed = 0, stream = 0, constrain }: Pick<GenerateOptions, 'seed' | 'constrain'> & { stream?: number },
): Row {
  const random = createRandom(mix32(seed, stream));
  return {
    prompt,
    random,
    constraint: constrain?.() ?? null,
    cached: 0,
    ids: [],
    logprobs: [],
    top: [],
    text: null,
    ending: null,
    finishReason: null,
  };
}

/** Chooses from logits [V] by the options of the call and the row's own random numbers. */
export function choose(row: Row, logits: Float32Array, options: GenerateOptions): Choice {
  const { temperature = 0, topP = 1, topK = 0, minP, logprobs = 0 } = options;
  const leant = allowedLogits(leaningLogits(logits, row.ids, options), row.constraint?.mask(row.ids) ?? null);
  const id = temperature === 0 ? argMax(leant) : sampleToken(leant, { temperature, topP, topK, minP }, row.random);
  const likeliest = logprobs > 0 ? topIds(logits, logprobs) : [];
  const [logprob = Number.NaN, ...others] = logProbabilities(logits, [id, ...likeliest]);
  return { id, logprob, top: likeliest.map((other, i) => ({ id: other, logprob: others[i] ?? Number.NaN })) };
}

/** Adds the next token to an answer, or ends it. */
export function accept(row: Row, choice: Choice, options: GenerateOptions, contextMax: number): void {
  const { id, logprob, top } = choice;
  if (!Number.isFinite(logprob)) throw notANumber(row.prompt.length + row.ids.length);
  if (options.stopIds?.includes(id)) {
    row.ending = choice;
    end(row, 'stop', options);
    return;
  }
  row.ids.push(id);
  row.logprobs.push(logprob);
  row.top.push(top);
  const cut = cutAt(row.ids, options);
  if (cut !== null) {
    for (const list of [row.ids, row.logprobs, row.top]) list.length = Math.min(list.length, cut.kept);
    row.text = cut.text;
    row.finishReason = 'stop';
  } else if (row.constraint?.isOver(row.ids) === true) {
    end(row, 'stop', options);
  } else if (row.ids.length >= options.maxNewTokens || row.prompt.length + row.ids.length >= contextMax) {
    end(row, 'length', options);
  }
}

export const notANumber = (tokens: number): AppError =>
  new AppError('nan_loss', `The model's scores after ${tokens} tokens are not numbers.`, {
    hint: 'The weights or the adapter hold values that are not numbers, or far too large ones.',
  });

/** Ends an answer that keeps all its tokens. */
export function end(row: Row, finishReason: NonNullable<Row['finishReason']>, { decode }: GenerateOptions): void {
  row.text = decode?.(row.ids) ?? null;
  row.finishReason = finishReason;
}
