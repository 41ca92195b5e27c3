import { AppError } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import type { FeedValue, FetchedValue, Session } from '@moraine/engine';
import { invariant } from '@moraine/engine';
import { checkOptions, checkPrompts } from './check-request.js';
import type { AdapterFeeds, GenerateOptions } from './options.js';
import {
  bucketFor,
  checkPlan,
  decodeLogitsName,
  decodeName,
  type GenerationPlan,
  largest,
  prefillName,
} from './plan.js';
import { accept, choose, end, openRow, type Row, type TokenProbability } from './rows.js';

export interface Completion {
  /** The answer's tokens, without the stop token; before a stop string, the fewest that say all of `text`. */
  ids: number[];
  /** Log-probability of each of them: natural logarithm, at temperature 1. */
  logprobs: number[];
  /** The likeliest tokens at each place, likeliest first; empty lists when none were wanted. */
  top: TokenProbability[][];
  /** The answer as text, cut before the stop string; null without `decode`. */
  text: string | null;
  /** `stop`: a stop token, a stop string or `isStopped`. `length`: `maxNewTokens` or the end of the context. */
  finishReason: 'stop' | 'length';
}

export interface Generator {
  readonly plan: GenerationPlan;
  /** Longest prompt that is taken, tokens. */
  readonly promptMax: number;
  /**
   * Answers prompts (token ids) in order, each on its own. More prompts than rows of the largest batch take turns: a row that ends makes
   * room for the next prompt. Calls at the same time wait for each other. Yields to the event loop after every token.
   * @throws AppError `invalid_value` for an empty or too long prompt, an id outside the vocabulary, a bad option, an adapter that is not
   * resident, or not any more; `nan_loss` when the model's scores are not numbers.
   */
  generate(prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<Completion[]>;
}

/** A generator over a session whose program has `generationVariables` and `generationSignatures` of the same plan. */
export function createGenerator(
  session: Session,
  config: ModelConfig,
  plan: GenerationPlan,
  adapterFeeds: AdapterFeeds = baseAlone,
): Generator {
  checkPlan(config, plan);
  const promptMax = Math.min(largest(plan.prefillTimes), plan.contextMax - 1);
  let turn: Promise<unknown> = Promise.resolve();
  return {
    plan,
    promptMax,
    generate: async (prompts, options) => {
      checkPrompts(prompts, { vocabSize: config.vocabSize, promptMax });
      checkOptions(options, prompts.length);
      if (plan.isGreedy === true && needsLogits(options)) throw onlyGreedy();
      // Asked before every pass: while a call waits or yields, its adapter's place may go to another one.
      const feeds = () => adapterFeeds(options.adapter ?? null);
      feeds();
      const call: Call = { session, plan, options, adapterFeeds: feeds };
      const answers = turn.then(() => answerAll(call, prompts));
      turn = answers.catch(() => undefined);
      return answers;
    },
  };
}

const baseAlone: AdapterFeeds = (adapter) => {
  if (adapter === null) return {};
  throw new AppError('invalid_value', `There is no adapter '${adapter}': this model was made without room for any.`, {
    param: 'adapter',
    hint: 'Name groups of adapters when the model is made.',
  });
};

interface Call {
  session: Session;
  plan: GenerationPlan;
  options: GenerateOptions;
  adapterFeeds: () => Record<string, FeedValue>;
}

/** A row and its place in the caches. */
interface Seated {
  row: Row;
  slot: number;
}

async function answerAll(call: Call, prompts: readonly (readonly number[])[]): Promise<Completion[]> {
  const { plan, options } = call;
  const rows = prompts.map((prompt, index) => openRow(prompt, index, options));
  const waiting = options.maxNewTokens > 0 ? [...rows] : [];
  let seated: Seated[] = [];
  while (waiting.length > 0 || seated.length > 0) {
    const taken = new Set(seated.map(({ slot }) => slot));
    const free = Array.from({ length: largest(plan.batches) }, (_, slot) => slot).filter((slot) => !taken.has(slot));
    const entering = free.flatMap((slot) => waiting.splice(0, 1).map((row) => ({ row, slot })));
    if (entering.length > 0) prefill(call, entering);
    else decode(call, seated);
    seated = [...seated, ...entering].filter(({ row }) => row.finishReason === null);
    await new Promise(setImmediate);
  }
  return rows.map((row) => {
    if (row.finishReason === null) end(row, 'length', options);
    const { ids, logprobs, top, text, finishReason } = row;
    return { ids, logprobs, top, text, finishReason: finishReason ?? 'length' };
  });
}

/** Reads prompts into the caches, those of one padded length together, and chooses each one's first token. */
function prefill(call: Call, entering: readonly Seated[]): void {
  const { plan } = call;
  for (const time of plan.prefillTimes) {
    const group = entering.filter(({ row }) => bucketFor(row.prompt.length, plan.prefillTimes) === time);
    while (group.length > 0) {
      const batch = prefillBatch(group.length, plan.batches);
      prefillTogether(call, group.splice(0, batch), batch, time);
    }
  }
}

/** A batch at most half empty, or one that is full. */
function prefillBatch(rows: number, batches: readonly number[]): number {
  const fitting = bucketFor(rows, batches);
  return fitting <= 2 * rows ? fitting : (batches.findLast((batch) => batch <= rows) ?? fitting);
}

function prefillTogether(call: Call, group: readonly Seated[], batch: number, time: number): void {
  const ids = new Int32Array(batch * time);
  const lengths = new Int32Array(batch);
  const slots = new Int32Array(batch);
  for (let b = 0; b < batch; b++) {
    const { row, slot } = group[b] ?? (group[0] as Seated); // what is left of the batch repeats a prompt, to the same place
    ids.set(row.prompt, b * time);
    lengths[b] = row.prompt.length;
    slots[b] = slot;
  }
  const fetched = call.session.run(prefillName(batch, time), { ids, lengths, slots, ...call.adapterFeeds() });
  for (const [b, { row }] of group.entries()) acceptFrom(call, row, logitsOf(fetched, batch, b));
}

/** One more token for every row. */
function decode(call: Call, seated: readonly Seated[]): void {
  const { session, plan, options } = call;
  const batch = bucketFor(Math.max(...seated.map(({ slot }) => slot)) + 1, plan.batches);
  const ids = new Int32Array(batch);
  const positions = new Int32Array(batch);
  for (const { row, slot } of seated) {
    ids[slot] = row.ids[row.ids.length - 1] ?? 0;
    positions[slot] = row.prompt.length + row.ids.length - 1;
  }
  const feeds = { ids, positions, ...call.adapterFeeds() };
  if (needsLogits(options)) {
    const fetched = session.run(decodeLogitsName(batch), feeds);
    for (const { row, slot } of seated) acceptFrom(call, row, logitsOf(fetched, batch, slot));
    return;
  }
  const { best, logprobs } = session.run(decodeName(batch), feeds);
  for (const { row, slot } of seated) {
    const choice = { id: best?.[slot] ?? 0, logprob: logprobs?.[slot] ?? Number.NaN, top: [] };
    accept(row, choice, options, plan.contextMax);
  }
}

function onlyGreedy(): AppError {
  return new AppError('invalid_value', 'This model was made for greedy answers only.', {
    param: 'temperature',
    hint: 'Leave temperature and logprobs at 0, or make it with a plan that is not greedy.',
  });
}

const needsLogits = ({ temperature = 0, logprobs = 0 }: GenerateOptions): boolean => temperature > 0 || logprobs > 0;

function acceptFrom({ options, plan }: Call, row: Row, logits: Float32Array): void {
  accept(row, choose(row, logits, options), options, plan.contextMax);
}

/** Row b of the answered logits [batch, V]. */
function logitsOf({ logits }: Record<string, FetchedValue>, batch: number, b: number): Float32Array {
  invariant(logits instanceof Float32Array, 'the signature returned no logits');
  const width = logits.length / batch;
  return logits.subarray(b * width, (b + 1) * width);
}
