import { combineSamples, type EvaluationItem, type Sampling, type Suite } from '@moraine/contract/suites';
import type { SuiteItem, Task } from '@moraine/data';
import { invariant } from '@moraine/engine';
import { createModel, type GenerateOptions, mix32 } from '@moraine/lm';
import { requireSandbox } from '../sandbox/index.js';
import { ASKED_TOGETHER, type AskedPrompt, answerPlan, encodeAsked, judgeAnswer } from './answers.js';
import { judgeProgram } from './code.js';
import type { OpenModel } from './open-model.js';
import { atItem, type EvaluateOptions, modelOf, type Run } from './parts.js';

/** The prompt of an item. */
interface AskedItem extends AskedPrompt {
  item: SuiteItem;
}

/** Compiles a model that writes answers. @throws AppError `runtime_missing` where programs are asked for and there is no sandbox. */
export async function startAnswering({
  model: open,
  suite,
  items,
  sampling = null,
  mode,
  isStopped,
  onPass,
}: EvaluateOptions): Promise<Run> {
  if (items.some(({ task }) => runsCode(task))) await requireSandbox();
  const { config, tokenizer } = open;
  const asked = items.map((item): AskedItem => ({ ...atItem(item, () => promptOf(item, open)), item }));
  const samples = sampling?.samples ?? 1;
  const generation = answerPlan(asked, config.maxPositions, sampling && samples);
  const model = await createModel({ ...modelOf(open, mode), generation });
  /** Between two tokens: an answer that is cut because it is to stop is thrown away. */
  const alive = (ids: readonly number[]): number | null => {
    onPass?.();
    return isStopped?.() === true ? ids.length : null;
  };
  const decode = (ids: readonly number[]): string => tokenizer.decode(ids, { skipSpecialTokens: true });
  /** The answers to each prompt; null where it was stopped. */
  async function answersTo(group: readonly AskedItem[]): Promise<string[] | null> {
    const { stops, tokensMax } = group[0] as AskedItem;
    const drawn = group.flatMap(({ ids, item }) =>
      Array.from({ length: samples }, (_, sample) => ({ ids, stream: mix32(item.index, sample) })),
    );
    const made = await model.generator?.generate(
      drawn.map(({ ids }) => ids),
      {
        ...drawing(sampling),
        streams: drawn.map(({ stream }) => stream),
        maxNewTokens: tokensMax,
        stop: stops,
        stopIds: tokenizer.eosIds,
        decode,
        isStopped: alive,
      },
    );
    return isStopped?.() === true ? null : drawn.map((_, i) => made?.[i]?.text ?? '');
  }
  /** Judges each different answer once. */
  async function judgeItem(item: SuiteItem, answers: readonly string[]): Promise<EvaluationItem | null> {
    const judged = new Map<string, EvaluationItem>();
    for (const answer of new Set(answers)) {
      if (isStopped?.() === true) return null;
      judged.set(answer, await judgeText(item, answer, suite));
      onPass?.();
    }
    const all = answers.map((answer) => judged.get(answer) as EvaluationItem);
    return sampling === null ? (all[0] as EvaluationItem) : combineSamples(all, sampling.ks);
  }
  return {
    model,
    together: Math.ceil(ASKED_TOGETHER / samples),
    async judge(first, end) {
      if (isStopped?.() === true) return null;
      const answers = new Map<SuiteItem, string[]>();
      for (const group of alike(asked.slice(first, end))) {
        const texts = await answersTo(group);
        if (texts === null) return null;
        for (const [i, { item }] of group.entries()) answers.set(item, texts.slice(i * samples, (i + 1) * samples));
      }
      const results: EvaluationItem[] = [];
      for (const item of items.slice(first, end)) {
        const result = await judgeItem(item, answers.get(item) ?? ['']);
        if (result === null) return null;
        results.push(result);
      }
      return results;
    },
  };
}

/** How tokens are chosen: the likeliest ones, or drawn. */
const drawing = (sampling: Sampling | null): Pick<GenerateOptions, 'temperature' | 'topP' | 'seed'> =>
  sampling === null ? {} : { temperature: sampling.temperature, topP: sampling.top_p, seed: sampling.seed };

const runsCode = (task: Task): boolean =>
  task.kind === 'code' || (task.kind === 'generate' && task.check.type === 'python');

function promptOf({ task }: SuiteItem, { tokenizer, config }: OpenModel): AskedPrompt {
  invariant(task.kind === 'generate' || task.kind === 'code', `an item of kind ${task.kind} is not asked`);
  return encodeAsked({ isTurn: false, ...task }, tokenizer, config.maxPositions);
}

/** An item with what the model wrote. */
async function judgeText(item: SuiteItem, text: string, suite: Suite): Promise<EvaluationItem> {
  if (item.task.kind === 'code') return judgeProgram(item, item.task, text);
  const { task } = item;
  invariant(task.kind === 'generate', `an item of kind ${task.kind} has no answer`);
  return judgeAnswer(item, task, text, suite);
}

/** Prompts whose answers end in the same way. */
function alike(prompts: readonly AskedItem[]): AskedItem[][] {
  const groups = new Map<string, AskedItem[]>();
  for (const prompt of prompts) {
    const key = JSON.stringify([prompt.tokensMax, prompt.stops]);
    groups.set(key, [...(groups.get(key) ?? []), prompt]);
  }
  return [...groups.values()];
}
