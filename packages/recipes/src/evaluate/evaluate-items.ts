import { AppError } from '@moraine/contract';
import type { EvaluationItem, Suite } from '@moraine/contract/suites';
import type { SuiteItem } from '@moraine/data';
import { device, type NumericMode } from '@moraine/engine';
import { createModel, type Model } from '@moraine/lm';
import { ASKED_TOGETHER, type AskedPrompt, answerPlan, encodeAsked, judgeAnswer } from './answers.js';
import { choiceRequests, judgeChoice } from './choice.js';
import { encodePair } from './encode-pair.js';
import { judgeRow, lossRequests } from './loss.js';
import type { OpenModel } from './open-model.js';
import { type Request, type RequestScores, shapesOf } from './requests.js';
import { batchesOf, type Scoring, scoreBatch } from './score-requests.js';

export interface EvaluateOptions {
  model: OpenModel;
  suite: Suite;
  items: readonly SuiteItem[];
  /** Index of the first item that is scored; those before it are done. Default 0. */
  from?: number;
  mode?: NumericMode;
  /** Asked between batches; once true, no more are scored. */
  isStopped?: () => boolean;
  /** Called after every pass. */
  onPass?: () => void;
  /** Called once the model is compiled, before the first item. */
  onReady?: () => void;
}

/** Items whose passes are put into batches together. */
const ITEMS_TOGETHER = 128;

/**
 * Scores items with a model and hands each on in the order of their index. Each item's scores are the same whatever is scored beside it and
 * wherever scoring began.
 * @returns `stopped` where `isStopped` ended it: the items that were handed on are whole.
 * @throws AppError `user_data` naming an item that cannot be scored, `nan_loss`, `unavailable` for what needs a sandbox.
 */
export async function evaluateItems(
  options: EvaluateOptions,
  emit: (item: EvaluationItem) => void | Promise<void>,
): Promise<'done' | 'stopped'> {
  const { items, from = 0, onReady } = options;
  if (items.some(({ task }) => task.kind === 'code')) throw withoutSandbox();
  if (from >= items.length) return 'done';
  const isAsked = items.some(({ task }) => task.kind === 'generate');
  const run = isAsked ? await startAnswering(options) : await startScoring(options);
  onReady?.();
  try {
    for (let first = from; first < items.length; first += run.together) {
      const results = await run.judge(first, Math.min(items.length, first + run.together));
      if (results === null) return 'stopped';
      for (const result of results) await emit(result);
    }
    return 'done';
  } finally {
    run.model.dispose();
  }
}

/** Scores the items between two places; null where it was stopped. */
interface Run {
  model: Model;
  together: number;
  judge(first: number, end: number): Promise<EvaluationItem[] | null>;
}

/** An item's passes, and what their scores come to. */
interface Prepared {
  requests: Request[];
  judge(scored: readonly RequestScores[]): EvaluationItem;
}

async function startScoring({ model: open, suite, items, mode, isStopped, onPass }: EvaluateOptions): Promise<Run> {
  const { maxPositions } = open.config;
  const prepared = items.map((item) => atItem(item, () => prepare(item, open, suite)));
  const shapes = shapesOf(
    prepared.flatMap(({ requests }) => requests),
    maxPositions,
    device().kind,
  );
  const model = await createModel({ ...modelOf(open, mode), evaluation: [...shapes.values()] });
  const scoring: Scoring = { model, shapes, maxPositions, padId: open.tokenizer.padId };
  return {
    model,
    together: ITEMS_TOGETHER,
    async judge(first, end) {
      const group = prepared.slice(first, end);
      const scores = new Map<Request, RequestScores>();
      for (const [shape, requests] of batchesOf(
        group.flatMap((item) => item.requests),
        scoring,
      )) {
        if (isStopped?.() === true) return null;
        const scored = scoreBatch(shape, requests, scoring);
        for (const [i, request] of requests.entries()) scores.set(request, scored[i] as RequestScores);
        onPass?.();
        await new Promise(setImmediate);
      }
      return group.map(({ requests, judge }) => judge(requests.map((request) => scores.get(request) as RequestScores)));
    },
  };
}

const modelOf = ({ config, weights, tuned }: OpenModel, mode: NumericMode | undefined) => ({
  config,
  weights,
  ...(tuned === undefined ? {} : { tuned }),
  ...(mode === undefined ? {} : { mode }),
});

function prepare(item: SuiteItem, { config, tokenizer }: OpenModel, suite: Suite): Prepared {
  const { task } = item;
  const { maxPositions } = config;
  if (task.kind === 'choice') {
    const pairs = task.contexts.map((context, i) =>
      encodePair(context, task.continuations[i] ?? '', { tokenizer, maxPositions }),
    );
    const made = choiceRequests(pairs);
    return { requests: made.requests, judge: (scored) => judgeChoice(item, task, scored, made, suite) };
  }
  if (task.kind !== 'loss') throw new TypeError(`an item of kind ${task.kind} has no passes`);
  const made = lossRequests(item, task, tokenizer, maxPositions);
  return { requests: made.requests, judge: (scored) => judgeRow(item, task, scored, made, tokenizer) };
}

/** Says which item it is about. */
function atItem<T>({ id }: SuiteItem, prepareIt: () => T): T {
  try {
    return prepareIt();
  } catch (cause) {
    if (!(cause instanceof AppError) || cause.param !== null) throw cause;
    throw new AppError(cause.code, `Item ${id}: ${cause.message}`, {
      param: `item ${id}`,
      hint: cause.hint ?? '',
      cause,
    });
  }
}

async function startAnswering({ model: open, suite, items, mode, isStopped, onPass }: EvaluateOptions): Promise<Run> {
  const { config, tokenizer } = open;
  const asked = items.map((item) => atItem(item, () => promptOf(item, open)));
  const model = await createModel({ ...modelOf(open, mode), generation: answerPlan(asked, config.maxPositions) });
  const alive = (): null => {
    onPass?.();
    return null;
  };
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
  return {
    model,
    together: ASKED_TOGETHER,
    async judge(first, end) {
      if (isStopped?.() === true) return null;
      const texts = new Map<AskedPrompt, string>();
      for (const [{ stops, tokensMax }, group] of alike(asked.slice(first, end))) {
        const options = {
          maxNewTokens: tokensMax,
          stop: stops,
          stopIds: tokenizer.eosIds,
          decode,
          isStopped: alive,
        };
        const answers = await model.generator?.generate(
          group.map(({ ids }) => ids),
          options,
        );
        for (const [i, prompt] of group.entries()) texts.set(prompt, answers?.[i]?.text ?? '');
      }
      return items.slice(first, end).map((item, i) => {
        if (item.task.kind !== 'generate') throw new TypeError(`an item of kind ${item.task.kind} has no answer`);
        return judgeAnswer(item, item.task, texts.get(asked[first + i] as AskedPrompt) ?? '', suite);
      });
    },
  };
}

function promptOf({ task }: SuiteItem, { tokenizer, config }: OpenModel): AskedPrompt {
  if (task.kind !== 'generate') throw new TypeError(`an item of kind ${task.kind} is not asked`);
  return encodeAsked(task, tokenizer, config.maxPositions);
}

/** Prompts whose answers end in the same way. */
function alike(prompts: readonly AskedPrompt[]): [AskedPrompt, AskedPrompt[]][] {
  const groups = new Map<string, AskedPrompt[]>();
  for (const prompt of prompts) {
    const key = JSON.stringify([prompt.tokensMax, prompt.stops]);
    groups.set(key, [...(groups.get(key) ?? []), prompt]);
  }
  return [...groups.values()].map((group) => [group[0] as AskedPrompt, group]);
}

const withoutSandbox = (): AppError =>
  new AppError('unavailable', 'Programs that a model writes are run in a sandbox only, and there is none.', {
    param: 'suite',
    hint: 'Take another suite.',
  });
