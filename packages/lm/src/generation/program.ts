import type { ModelConfig } from '@moraine/contract/plan';
import { type Feed, type Feeds, gatherRows, loadTf, type Signature, signature, type Tensor } from '@moraine/engine';
import { decoderStates, headLogits } from '../model.js';
import { cacheSignatures, decodeAttention, extendAttention, prefillAttention } from './cache.js';
import type { NetOf } from './net-of.js';
import {
  checkPlan,
  decodeName,
  extendName,
  type GenerationPlan,
  largest,
  prefillName,
  readsByExtending,
  spansOf,
} from './plan.js';
import { scoreSignatures } from './score-prompt.js';

/**
 * What a program needs to generate, over `generationVariables` and the net's own variables:
 * - `prefill/<B>x<T>`, under a plan with spans for more than one row: `ids` int32 [B, T] (prompts, padded behind), `lengths` and `slots` int32 [B] -> `logits` [B, V] of the token after
 *   each prompt; fills the caches' rows `slots`. Of a longer prompt it is the first chunk.
 * - `extend/<T>/<S>`, under a plan with spans: `ids` int32 [1, T] (a chunk, padded behind), `start`, `length` and `slot` int32 [1] -> `logits` [1, V] of the token
 *   after it. It follows the `start` tokens that the cache's row `slot` has already, and looks at the first S places of it.
 * - `decode/<B>/<S>`: `ids`, `positions` and, unless they are all rows in order, `slots` int32 [B] -> `best` int32 [B], the most likely next token, `logprobs` [B], its natural
 *   logarithm of probability, and `logits` [B, V]; looks at the first S places.
 * - what `cacheSignatures` says.
 * - what `scoreSignatures` says, where the plan is to score prompts.
 *
 * Every signature takes the net's own feeds for its number of rows as well; `isAll`: they are all rows, in order.
 */
export function generationSignatures(
  config: ModelConfig,
  plan: GenerationPlan,
  netOf: NetOf,
  netFeeds: (batch: number, isAll?: boolean) => Feeds = () => ({}),
): Record<string, Signature> {
  checkPlan(config, plan);
  const scores = scoreSignatures(config, plan.scoreTimes ?? [], netOf, netFeeds(1));
  const signatures = { ...scores, ...cacheSignatures(config, plan) };
  for (const batch of plan.batches) {
    for (const time of readsByExtending(plan, batch) ? [] : plan.prefillTimes)
      signatures[prefillName(batch, time)] = prefill(config, plan, netOf, netFeeds(batch), batch, time);
    for (const span of spansOf(plan))
      signatures[decodeName(batch, span)] = decodeOne(config, plan, netOf, netFeeds, { batch, span });
  }
  for (const span of plan.spans ?? [])
    for (const time of plan.prefillTimes)
      if (time <= span) signatures[extendName(time, span)] = extend(config, plan, netOf, netFeeds(1), time, span);
  return signatures;
}

const ints = (...shape: number[]): Feed => ({ shape, dtype: 'int32' });

function prefill(
  config: ModelConfig,
  plan: GenerationPlan,
  netOf: NetOf,
  netFeeds: Feeds,
  batch: number,
  time: number,
): Signature {
  return signature({
    isCompiled: false,
    feeds: { ...netFeeds, ids: ints(batch, time), lengths: ints(batch), slots: ints(batch) },
    build: (feeds, scope) => {
      const tf = loadTf();
      const net = netOf(scope, feeds);
      const attend = prefillAttention(config, plan, scope, { batch, time, slots: feeds.slots });
      const hidden = decoderStates(net, config, tf.reshape(feeds.ids, [batch * time]), attend);
      const beforeFirst = tf.range(-1, batch * time - 1, time, 'int32');
      const last = tf.add(beforeFirst, feeds.lengths); // flat place of each row's last token
      return { logits: headLogits(net, config, gatherRows(hidden, last)) };
    },
  });
}

function extend(
  config: ModelConfig,
  plan: GenerationPlan,
  netOf: NetOf,
  netFeeds: Feeds,
  time: number,
  span: number,
): Signature {
  return signature({
    isCompiled: false,
    feeds: { ...netFeeds, ids: ints(1, time), start: ints(1), length: ints(1), slot: ints(1) },
    build: (feeds, scope) => {
      const tf = loadTf();
      const net = netOf(scope, feeds);
      const attend = extendAttention(config, plan, scope, { time, span, slot: feeds.slot, start: feeds.start });
      const hidden = decoderStates(net, config, tf.reshape(feeds.ids, [time]), attend);
      const last = tf.sub(feeds.length, tf.scalar(1, 'int32')) as Tensor;
      return { logits: headLogits(net, config, gatherRows(hidden, last)) };
    },
  });
}

function decodeOne(
  config: ModelConfig,
  plan: GenerationPlan,
  netOf: NetOf,
  netFeeds: (batch: number, isAll?: boolean) => Feeds,
  { batch, span }: { batch: number; span: number },
): Signature {
  const isAll = batch === largest(plan.batches);
  const mapped: { slots?: Feed } = isAll ? {} : { slots: ints(batch) };
  return signature({
    isCompiled: false, // XLA's decode took twice as long
    feeds: { ...netFeeds(batch, isAll), ...mapped, ids: ints(batch), positions: ints(batch) },
    build: (feeds, scope) => {
      const net = netOf(scope, feeds);
      const { positions, slots } = feeds;
      const attend = decodeAttention(config, plan, scope, { batch, span, positions, slots });
      const logits = headLogits(net, config, decoderStates(net, config, feeds.ids, attend));
      return { ...mostLikely(logits), logits };
    },
  });
}

/** The likeliest token of each row and the logarithm of its probability, without a [B, V] matrix leaving the device. */
function mostLikely(logits: Tensor): Record<string, Tensor> {
  const tf = loadTf();
  const top = tf.max(logits, 1, true);
  const others = tf.sum(tf.exp(tf.sub(logits, top)), 1); // the sum of all probabilities over the highest
  return { best: tf.argMax(logits, 1), logprobs: tf.neg(tf.log(others)) };
}
