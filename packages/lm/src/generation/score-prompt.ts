import type { ModelConfig } from '@moraine/contract/plan';
import {
  type Feed,
  type Feeds,
  gatherRows,
  invariant,
  loadTf,
  type Session,
  type Signature,
  signature,
  type Tensor,
} from '@moraine/engine';
import { chunkRows } from '../head-loss.js';
import { headLogits, hiddenStates } from '../model.js';
import type { NetOf } from './net-of.js';
import type { AdapterRows } from './options.js';
import { bucketFor } from './plan.js';
import type { TokenProbability } from './rows.js';

/** Likeliest tokens that are listed at a place, at most. */
export const LISTED_MAX = 20;

/** What a model makes of a prompt: at each token, given those before it; the first token has none before it. */
export interface PromptScores {
  /** Log-probability of each token but the first, natural logarithm, at temperature 1: [T - 1]. */
  logprobs: number[];
  /** The likeliest tokens at the same places, likeliest first. */
  top: TokenProbability[][];
}

const statesName = (time: number): string => `score/${time}`;
const HEAD = 'score/head';

/**
 * - `score/<T>`: `ids` int32 [1, T] -> `hidden` [T, C], what the head sees.
 * - `score/head`: `hidden` [N, C] and `targets` int32 [N] -> `logprobs` [N], `ids` int32 and `others` [N, K], the likeliest tokens and their
 *   log-probabilities. N is such that the logits take little room.
 *
 * The caches are not touched, so that prompts are scored beside answers under way.
 */
export function scoreSignatures(
  config: ModelConfig,
  times: readonly number[],
  netOf: NetOf,
  netFeeds: Feeds,
): Record<string, Signature> {
  const rows = chunkRows(config.vocabSize);
  const head = signature({
    isCompiled: false,
    feeds: { ...netFeeds, hidden: { shape: [rows, config.hiddenSize], dtype: 'float32' }, targets: ints(rows) },
    build: (feeds, scope) => scoreRows(headLogits(netOf(scope, feeds), config, feeds.hidden), feeds.targets),
  });
  const states = (time: number): Signature =>
    signature({
      isCompiled: false,
      feeds: { ...netFeeds, ids: ints(1, time) },
      build: (feeds, scope) => ({ hidden: hiddenStates(netOf(scope, feeds), config, { ids: feeds.ids }) }),
    });
  if (times.length === 0) return {};
  return { ...Object.fromEntries(times.map((time) => [statesName(time), states(time)])), [HEAD]: head };
}

const ints = (...shape: number[]): Feed => ({ shape, dtype: 'int32' });

/** logits [N, V], targets int32 [N] -> the target's and the likeliest tokens' log-probabilities. */
function scoreRows(logits: Tensor, targets: Tensor): Record<string, Tensor> {
  const tf = loadTf();
  const [rows = 0, vocabulary = 0] = logits.shape;
  const highest = tf.max(logits, 1, true); // [N, 1]
  const logSum = tf.add(highest, tf.log(tf.sum(tf.exp(tf.sub(logits, highest)), 1, true))); // [N, 1]
  const places = tf.add(tf.range(0, rows * vocabulary, vocabulary, 'int32'), targets);
  const chosen = gatherRows(tf.reshape(logits, [rows * vocabulary]), places); // [N]
  const { values, indices } = tf.topk(logits, Math.min(LISTED_MAX, vocabulary));
  return { logprobs: tf.sub(chosen, tf.reshape(logSum, [rows])), ids: indices, others: tf.sub(values, logSum) };
}

/** Scores prompts through `scoreSignatures`: of all prompts that are asked for one pass a turn of the event loop, so that answers go on in between. */
export function createScorer(session: Session, config: ModelConfig, times: readonly number[], adapters: AdapterRows) {
  const rows = chunkRows(config.vocabSize);
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(pass: () => T): Promise<T> => {
    const done = last.then(() => new Promise(setImmediate)).then(pass);
    last = done.catch(() => undefined);
    return done;
  };
  return async (prompt: readonly number[], adapter: string | null, listed: number): Promise<PromptScores> => {
    const found = adapters.find(adapter);
    const time = bucketFor(prompt.length, times);
    const ids = new Int32Array(time);
    ids.set(prompt);
    const { hidden } = await inTurn(() => session.run(statesName(time), { ids, ...adapters.outside(found) }));
    invariant(hidden instanceof Float32Array, 'the signature returned no states');
    const scores: PromptScores = { logprobs: [], top: [] };
    for (let from = 0; from < prompt.length - 1; from += rows) {
      const count = Math.min(rows, prompt.length - 1 - from);
      const chunk = new Float32Array(rows * config.hiddenSize);
      chunk.set(hidden.subarray(from * config.hiddenSize, (from + count) * config.hiddenSize));
      const targets = new Int32Array(rows);
      targets.set(prompt.slice(from + 1, from + 1 + count));
      const fetched = await inTurn(() => session.run(HEAD, { hidden: chunk, targets, ...adapters.outside(found) }));
      const width = (fetched.ids?.length ?? 0) / rows;
      for (let row = 0; row < count; row++) {
        scores.logprobs.push(fetched.logprobs?.[row] ?? Number.NaN);
        const places = Array.from({ length: Math.min(listed, width) }, (_, k) => row * width + k);
        scores.top.push(
          places.map((k) => ({ id: fetched.ids?.[k] ?? -1, logprob: fetched.others?.[k] ?? Number.NaN })),
        );
      }
    }
    return scores;
  };
}
