import type { ModelConfig } from '@moraine/contract/plan';
import { type Feed, type Feeds, gatherRows, loadTf, type Signature, signature, type Tensor } from '@moraine/engine';
import { type Attend, decoderStates, headLogits } from '../model.js';
import { decodeAttention, prefillAttention } from './cache.js';
import type { NetOf } from './net-of.js';
import { checkPlan, decodeLogitsName, decodeName, type GenerationPlan, largest, prefillName } from './plan.js';
import { scoreSignatures } from './score-prompt.js';

/**
 * What a program needs to generate, over `generationVariables` and the net's own variables:
 * - `prefill/<B>x<T>`: `ids` int32 [B, T] (prompts, padded behind), `lengths` and `slots` int32 [B] -> `logits` [B, V] of the token after
 *   each prompt; fills the caches' rows `slots`.
 * - `decode/<B>`: `ids` and `positions` int32 [B] -> `best` int32 [B], the most likely next token, and `logprobs` [B], its natural
 *   logarithm of probability. `decode/<B>/logits`, unless the plan is greedy: the same, but returns `logits` [B, V].
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
  const signatures = scoreSignatures(config, plan.scoreTimes ?? [], netOf, netFeeds(1));
  for (const batch of plan.batches) {
    for (const time of plan.prefillTimes)
      signatures[prefillName(batch, time)] = prefill(config, plan, netOf, netFeeds(batch), batch, time);
    const decode = (answer: (logits: Tensor) => Record<string, Tensor>) =>
      decodeOne(config, plan, netOf, netFeeds(batch, batch === largest(plan.batches)), batch, answer);
    signatures[decodeName(batch)] = decode(mostLikely);
    if (plan.isGreedy !== true) signatures[decodeLogitsName(batch)] = decode((logits) => ({ logits }));
  }
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

function decodeOne(
  config: ModelConfig,
  plan: GenerationPlan,
  netOf: NetOf,
  netFeeds: Feeds,
  batch: number,
  answer: (logits: Tensor) => Record<string, Tensor>,
): Signature {
  return signature({
    isCompiled: false, // XLA's decode took twice as long
    feeds: { ...netFeeds, ids: ints(batch), positions: ints(batch) },
    build: (feeds, scope) => {
      const net = netOf(scope, feeds);
      const attend: Attend = decodeAttention(config, plan, scope, { batch, positions: feeds.positions });
      return answer(headLogits(net, config, decoderStates(net, config, feeds.ids, attend)));
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
