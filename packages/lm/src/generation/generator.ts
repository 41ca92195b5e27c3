import { AppError } from '@moraine/contract';
import type { ModelConfig } from '@moraine/contract/plan';
import type { Session } from '@moraine/engine';
import type { Answer, BeginOptions, Completion } from './answer.js';
import { createBatcher } from './batcher.js';
import { checkOptions, checkPrompts } from './check-request.js';
import type { AdapterRows, GenerateOptions } from './options.js';
import { checkPlan, type GenerationPlan, largest, promptMaxOf } from './plan.js';
import { createScorer, LISTED_MAX, type PromptScores } from './score-prompt.js';

export interface Generator {
  readonly plan: GenerationPlan;
  /** Longest prompt that is taken, tokens. */
  readonly promptMax: number;
  /** @throws AppError `invalid_value` where `begin` would, but for the adapter. */
  check(prompt: readonly number[], options: GenerateOptions): void;
  /**
   * Begins the answer to a prompt (token ids). It joins those under way at the next step, each with options and an adapter of its own; without a free row
   * it waits for one, by turns of tenants and requests (`nextTurn`). Yields to the event loop after every token.
   * @throws AppError `invalid_value` for an empty or too long prompt, an id outside the vocabulary, a bad option, an adapter that is not resident.
   */
  begin(prompt: readonly number[], options: BeginOptions): Answer;
  /**
   * Scores the tokens of a prompt, which may be as long as the longest of the plan's, beside answers under way.
   * @param listed how many of the likeliest tokens to list at every place, at most 20.
   * @throws AppError `invalid_value` as `begin` does, and under a plan that scores none.
   */
  score(prompt: readonly number[], options: { adapter?: string | null; listed?: number }): Promise<PromptScores>;
  /** Answers prompts in order, prompt i with stream i of the seed. @throws AppError as `begin`, and as its completions; then none goes on. */
  generate(prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<Completion[]>;
}

/** A generator over a session whose program has `generationVariables` and `generationSignatures` of the same plan. */
export function createGenerator(
  session: Session,
  config: ModelConfig,
  plan: GenerationPlan,
  adapters: AdapterRows = baseAlone,
): Generator {
  checkPlan(config, plan);
  const promptMax = promptMaxOf(plan);
  const batcher = createBatcher(session, plan, adapters);
  const check = (prompts: readonly (readonly number[])[], options: GenerateOptions): void => {
    checkPrompts(prompts, { vocabSize: config.vocabSize, promptMax });
    checkOptions(options, prompts.length);
  };
  const scoreTimes = plan.scoreTimes ?? [];
  const scorePrompt = createScorer(session, config, scoreTimes, adapters);
  return {
    plan,
    promptMax,
    check: (prompt, options) => check([prompt], options),
    score: async (prompt, { adapter = null, listed = 0 }) => {
      if (scoreTimes.length === 0 || listed > LISTED_MAX) throw scoresNone(listed);
      checkPrompts([prompt], { vocabSize: config.vocabSize, promptMax: largest(scoreTimes) });
      return scorePrompt(prompt, adapter, listed);
    },
    begin: (prompt, options) => {
      check([prompt], options);
      return batcher.add(prompt, options);
    },
    generate: async (prompts, options) => {
      check(prompts, options);
      adapters.find(options.adapter ?? null);
      const answers = prompts.map((prompt, i) =>
        batcher.add(prompt, { ...options, stream: options.streams?.[i] ?? i }),
      );
      try {
        return await Promise.all(answers.map(({ completion }) => completion));
      } finally {
        for (const answer of answers) answer.cancel();
      }
    },
  };
}

const baseAlone: AdapterRows = {
  find(adapter) {
    if (adapter === null) return null;
    throw new AppError('invalid_value', `There is no adapter '${adapter}': this model was made without room for any.`, {
      param: 'adapter',
      hint: 'Name groups of adapters when the model is made.',
    });
  },
  seat: () => undefined,
  feeds: () => ({}),
  outside: () => ({}),
};

function scoresNone(listed: number): AppError {
  return listed > LISTED_MAX
    ? new AppError('invalid_value', `listed is ${listed}; it is at most ${LISTED_MAX}.`, { param: 'listed' })
    : new AppError('invalid_value', 'This model was made without scores of prompts.', {
        hint: 'Make it with a plan that has scoreTimes.',
      });
}
