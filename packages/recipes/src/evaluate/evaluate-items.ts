import type { EvaluationItem } from '@moraine/contract/suites';
import type { SuiteItem } from '@moraine/data';
import { device, invariant } from '@moraine/engine';
import { createModel } from '@moraine/lm';
import { choiceRequests, judgeChoice } from './choice.js';
import { encodePair } from './encode-pair.js';
import { judgeRow, lossRequests } from './loss.js';
import { atItem, type EvaluateOptions, modelOf, type Run } from './parts.js';
import { type Request, type RequestScores, shapesOf } from './requests.js';
import { startAnswering } from './run-answers.js';
import { batchesOf, type Scoring, scoreBatch } from './score-requests.js';

/** Items whose passes are put into batches together. */
const ITEMS_TOGETHER = 128;

/**
 * Scores items with a model and hands each on in the order of their index. Each item's scores are the same to the bit wherever scoring began; in another
 * order, or among other items, the last bits may differ, as they follow from an item's place in its batch.
 * @returns `stopped` where `isStopped` ended it: the items that were handed on are whole.
 * @throws AppError `user_data` naming an item that cannot be scored, `nan_loss`, `runtime_missing` for programs where no sandbox is installed.
 */
export async function evaluateItems(
  options: EvaluateOptions,
  emit: (item: EvaluationItem) => void | Promise<void>,
): Promise<'done' | 'stopped'> {
  const { items, from = 0, onReady } = options;
  if (from >= items.length) return 'done';
  const isAsked = items.some(({ task }) => task.kind === 'generate' || task.kind === 'code');
  const run = isAsked ? await startAnswering(options) : await startScoring(options);
  onReady?.();
  try {
    // The groups are the same wherever it begins: the last bits of a score are those of its place in a batch.
    for (let first = from - (from % run.together); first < items.length; first += run.together) {
      const results = await run.judge(first, Math.min(items.length, first + run.together));
      if (results === null) return 'stopped';
      for (const result of results) if (result.index >= from) await emit(result);
    }
    return 'done';
  } finally {
    run.model.dispose();
  }
}

/** An item's passes, and what their scores come to. */
interface Prepared {
  requests: Request[];
  judge(scored: readonly RequestScores[]): EvaluationItem;
}

async function startScoring(options: EvaluateOptions): Promise<Run> {
  const { model: open, items, mode, isStopped, onPass } = options;
  const { maxPositions } = open.config;
  const prepared = items.map((item) => atItem(item, () => prepare(item, options)));
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

function prepare(item: SuiteItem, { model: { config, tokenizer }, suite, readAs = null }: EvaluateOptions): Prepared {
  const { task } = item;
  const { maxPositions } = config;
  if (task.kind === 'choice') {
    const pairs = task.contexts.map((context, i) =>
      encodePair(context, task.continuations[i] ?? '', { tokenizer, maxPositions }),
    );
    const made = choiceRequests(pairs);
    return { requests: made.requests, judge: (scored) => judgeChoice(item, task, scored, made, suite) };
  }
  invariant(task.kind === 'loss', `an item of kind ${task.kind} has no passes`);
  const made = lossRequests(item, task, tokenizer, { maxPositions, readAs });
  return { requests: made.requests, judge: (scored) => judgeRow(item, task, scored, made, tokenizer) };
}
