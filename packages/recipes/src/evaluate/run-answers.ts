import type { EvaluationItem, Suite } from '@moraine/contract/suites';
import type { SuiteItem, Task } from '@moraine/data';
import { invariant } from '@moraine/engine';
import { createModel } from '@moraine/lm';
import { requireSandbox } from '../sandbox/index.js';
import { ASKED_TOGETHER, type AskedPrompt, answerPlan, encodeAsked, judgeAnswer } from './answers.js';
import { judgeProgram } from './code.js';
import type { OpenModel } from './open-model.js';
import { atItem, type EvaluateOptions, modelOf, type Run } from './parts.js';

/** Compiles a model that writes answers. @throws AppError `runtime_missing` where programs are asked for and there is no sandbox. */
export async function startAnswering({
  model: open,
  suite,
  items,
  mode,
  isStopped,
  onPass,
}: EvaluateOptions): Promise<Run> {
  if (items.some(({ task }) => runsCode(task))) await requireSandbox();
  const { config, tokenizer } = open;
  const asked = items.map((item) => atItem(item, () => promptOf(item, open)));
  const model = await createModel({ ...modelOf(open, mode), generation: answerPlan(asked, config.maxPositions) });
  /** Between two tokens: an answer that is cut because it is to stop is thrown away. */
  const alive = (ids: readonly number[]): number | null => {
    onPass?.();
    return isStopped?.() === true ? ids.length : null;
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
        if (isStopped?.() === true) return null;
        for (const [i, prompt] of group.entries()) texts.set(prompt, answers?.[i]?.text ?? '');
      }
      const results: EvaluationItem[] = [];
      for (const [i, item] of items.slice(first, end).entries()) {
        if (isStopped?.() === true) return null;
        results.push(await judgeText(item, texts.get(asked[first + i] as AskedPrompt) ?? '', suite));
        onPass?.();
      }
      return results;
    },
  };
}

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
function alike(prompts: readonly AskedPrompt[]): [AskedPrompt, AskedPrompt[]][] {
  const groups = new Map<string, AskedPrompt[]>();
  for (const prompt of prompts) {
    const key = JSON.stringify([prompt.tokensMax, prompt.stops]);
    groups.set(key, [...(groups.get(key) ?? []), prompt]);
  }
  return [...groups.values()].map((group) => [group[0] as AskedPrompt, group]);
}
