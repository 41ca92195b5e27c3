import { AppError } from '@moraine/contract';
import { loadBaseTokenizer, type TextTokenizer } from '@moraine/data';
import { type Device, device, type NumericMode } from '@moraine/engine';
import { type Completion, createModel, type GenerationPlan } from '@moraine/lm';
import { loadBase } from './base.js';
import { readAdapterAt } from './read-adapter.js';
import { checkWeights } from './weight-bytes.js';

export interface AnswerOptions {
  baseDir: string;
  adapterDir: string | null;
  /** Share of the adapter's update, 0 to 1; default 1. */
  lambda?: number;
  prompts: readonly string[];
  mode: NumericMode;
  /** Tokens of an answer at most. */
  maxNewTokens: number;
  /** 0 takes the likeliest token. */
  temperature: number;
  topP: number;
  topK: number;
  seed: number;
  /** Texts that end an answer, besides the base's own end tokens. */
  stop: readonly string[];
  /** Do not put the prompts into the base's chat template. */
  isRaw: boolean;
}

export interface Answer {
  prompt: string;
  text: string;
  promptTokens: number;
  tokens: number;
  finishReason: Completion['finishReason'];
}

export interface Answers {
  answers: Answer[];
  /** Decoding alone, without loading. */
  seconds: number;
  device: Device;
}

const BATCHES = [1, 2, 4, 8, 16];
const TIME_MULTIPLE = 16;

/** Answers prompts with a base, with an adapter or without. Prompts are written as rows of prompt and completion are for training. */
export async function answerPrompts(options: AnswerOptions): Promise<Answers> {
  const { baseDir, adapterDir, prompts, mode, isRaw } = options;
  const base = loadBase(baseDir);
  await checkWeights(base.weights);
  const tokenizer = await loadBaseTokenizer(baseDir, base.config.vocabSize);
  const tuned = adapterDir === null ? undefined : readAdapterAt(adapterDir, base, options.lambda ?? 1);
  const encoded = prompts.map((prompt) => encodePrompt(prompt, tokenizer, isRaw));
  const longest = Math.max(...encoded.map((ids) => ids.length));
  const { maxPositions } = base.config;
  if (longest >= maxPositions) {
    const which = encoded.findIndex((ids) => ids.length === longest) + 1;
    throw new AppError('invalid_value', `Prompt ${which} has ${longest} tokens, the base reads ${maxPositions}.`, {
      param: 'prompt',
      hint: `Shorten it to less than ${maxPositions} tokens, so that there is room for an answer.`,
    });
  }
  const model = await createModel({
    config: base.config,
    weights: base.weights,
    ...(tuned === undefined ? {} : { tuned }),
    mode,
    generation: generationPlan(
      encoded.map((ids) => ids.length),
      options.maxNewTokens,
      maxPositions,
    ),
  });
  try {
    const { maxNewTokens, temperature, topP, topK, seed, stop } = options;
    const begun = performance.now();
    const made = await model.generator?.generate(encoded, {
      maxNewTokens,
      temperature,
      topP,
      topK,
      seed,
      stop,
      stopIds: tokenizer.eosIds,
      decode: (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }),
    });
    const answers = (made ?? []).map(({ ids, text, finishReason }, i) => ({
      prompt: prompts[i] ?? '',
      text: text ?? tokenizer.decode(ids, { skipSpecialTokens: true }),
      promptTokens: encoded[i]?.length ?? 0,
      tokens: ids.length,
      finishReason,
    }));
    return { answers, seconds: (performance.now() - begun) / 1000, device: device() };
  } finally {
    model.dispose();
  }
}

/** A prompt as a row of prompt and completion shows it to the model: a user's turn where the base has a chat template. */
export function encodePrompt(prompt: string, tokenizer: TextTokenizer, isRaw: boolean): number[] {
  const isTurn = tokenizer.hasChatTemplate && !isRaw;
  const ids = isTurn
    ? tokenizer.encode(
        tokenizer.chatTemplate.render([{ role: 'user', content: prompt }], { addGenerationPrompt: true }),
      )
    : tokenizer.encode(prompt, { addSpecialTokens: true });
  // Some tokenizers end every text; here it goes on.
  const open = ids.at(-1) === tokenizer.eosId && ids.length > 1 && !isTurn ? ids.slice(0, -1) : ids;
  if (open.length > 0) return open;
  throw new AppError('invalid_value', 'The prompt is empty.', { param: 'prompt', hint: 'Write at least one letter.' });
}

/** As many rows side by side as there are prompts, at most 16; prompts padded to one of two lengths. */
function generationPlan(lengths: readonly number[], maxNewTokens: number, maxPositions: number): GenerationPlan {
  const longest = Math.max(...lengths);
  const contextMax = Math.min(maxPositions, longest + maxNewTokens);
  const rounded = (length: number): number => Math.min(contextMax, Math.ceil(length / TIME_MULTIPLE) * TIME_MULTIPLE);
  const middle = [...lengths].sort((a, b) => a - b)[lengths.length >> 1] ?? longest;
  const prefillTimes = [...new Set([rounded(middle), rounded(longest)])].sort((a, b) => a - b);
  const enough = BATCHES.find((batch) => batch >= lengths.length) ?? BATCHES.at(-1) ?? 1;
  return { batches: BATCHES.filter((batch) => batch <= enough), prefillTimes, contextMax };
}
