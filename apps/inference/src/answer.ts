import { randomInt } from 'node:crypto';
import { AppError } from '@moraine/contract';
import type { ChatRequest, FinishReason, TextRequest, Usage } from '@moraine/contract/serving';
import { createTextSoFar, type Served } from '@moraine/recipes';

/** What both endpoints ask of an answer. */
export type AnswerRequest = Omit<ChatRequest & TextRequest, 'messages' | 'prompt' | 'logprobs' | 'max_tokens'>;

export interface AskedAnswers {
  prompts: readonly (readonly number[])[];
  /** Tokens of an answer at most; null: what the context leaves. */
  tokensMax: number | null;
  /** What the request calls these two. */
  keys: { prompt: string; tokens: string };
  /** Likeliest tokens listed at each place; null: no log-probabilities. */
  logprobs: number | null;
}

/** Some of an answer, in order: text that is certain, and the tokens since the part before where they are asked for. */
export interface AnswerPart {
  index: number;
  text: string;
  tokens: AnswerToken[];
  /** Not null at the answer's end. */
  finishReason: FinishReason | null;
}

export interface AnswerToken {
  text: string;
  logprob: number;
  top: { text: string; logprob: number }[];
}

/** Answers under way. */
export interface Answers {
  /** Parts of all answers, mixed, each answer's in order. @throws what an answer ends with. */
  parts(): AsyncGenerator<AnswerPart>;
  /** Complete once all have ended. */
  usage(): Usage;
  cancel(): void;
}

const SEED_END = 2 ** 31;

/**
 * Begins `n` answers to each prompt; answer i of prompt p has the index p·n + i.
 * @throws AppError `not_found`, `invalid_value`, `unavailable`.
 */
export function beginAnswers(served: Served, request: AnswerRequest, asked: AskedAnswers): Answers {
  served.requireModel(request.model);
  const { tokenizer } = served;
  const stop = typeof request.stop === 'string' ? [request.stop] : (request.stop ?? []);
  const n = request.n ?? 1;
  const queue = createQueue();
  const seed = request.seed ?? randomInt(SEED_END);
  const used = { prompt_tokens: 0, completion_tokens: 0 };
  const shared = {
    temperature: request.temperature ?? 1,
    topP: request.top_p ?? 1,
    topK: request.top_k ?? 0,
    minP: request.min_p ?? 0,
    presencePenalty: request.presence_penalty ?? 0,
    frequencyPenalty: request.frequency_penalty ?? 0,
    logitBias: biasOf(request.logit_bias, served.vocabSize),
    seed,
    stop,
    stopIds: tokenizer.eosIds,
    decode: (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true }),
    logprobs: asked.logprobs ?? 0,
  };
  const rooms = asked.prompts.map((prompt, p) => roomFor(prompt, p, asked, served.contextMax));
  const begun: { cancel(): void }[] = [];
  const cancel = (): void => {
    for (const answer of begun) answer.cancel();
  };
  const begin = (prompt: readonly number[], room: number, stream: number, index: number): void => {
    const text = createTextSoFar(tokenizer, stop);
    let told = 0;
    type SoFar = Parameters<NonNullable<Parameters<Served['begin']>[3]['onToken']>>[0];
    const tokensSince = ({ ids, logprobs, top }: SoFar): AnswerToken[] => {
      if (asked.logprobs === null) return [];
      const pieces = tokenizer.pieces(ids);
      const from = told;
      told = ids.length;
      return pieces.slice(from).map((piece, i) => ({
        text: piece,
        logprob: logprobs[from + i] ?? Number.NaN,
        top: (top[from + i] ?? []).map((one) => ({ text: tokenizer.pieces([one.id])[0] ?? '', logprob: one.logprob })),
      }));
    };
    const answer = served.begin(request.model, request.lambda ?? 1, prompt, {
      ...shared,
      stream,
      maxNewTokens: room,
      onToken: (soFar) => {
        const more = text.add(soFar.ids);
        if (more === '') return;
        // Tokens whose text may still be taken back are told with what follows.
        queue.push({ index, text: more, tokens: text.isLevel() ? tokensSince(soFar) : [], finishReason: null });
      },
    });
    begun.push(answer);
    used.prompt_tokens += stream === 0 ? prompt.length : 0;
    answer.completion.then(
      (whole) => {
        used.completion_tokens += whole.ids.length;
        const finishReason = whole.finishReason === 'length' ? 'length' : 'stop';
        queue.push({ index, text: text.end(whole.text ?? ''), tokens: tokensSince(whole), finishReason });
        queue.leave();
      },
      (error: unknown) => queue.fail(error),
    );
  };
  try {
    for (const [p, prompt] of asked.prompts.entries())
      for (let i = 0; i < n; i++) {
        queue.join();
        begin(prompt, rooms[p] ?? 0, i, p * n + i);
      }
  } catch (error) {
    cancel();
    throw error;
  }
  return {
    parts: () => queue.all(),
    usage: () => ({ ...used, total_tokens: used.prompt_tokens + used.completion_tokens }),
    cancel,
  };
}

/** Tokens that an answer may have. @throws AppError `invalid_value` for a prompt that leaves none, or no place for as many as are asked for. */
function roomFor(
  prompt: readonly number[],
  p: number,
  { tokensMax, prompts, keys }: AskedAnswers,
  contextMax: number,
): number {
  const room = contextMax - prompt.length;
  if (room >= Math.max(1, tokensMax ?? 1)) return tokensMax ?? room;
  const which = prompts.length === 1 ? 'The prompt' : `Prompt ${p + 1}`;
  const asked = tokensMax === null ? '' : ` and ${keys.tokens} is ${tokensMax}`;
  throw new AppError('invalid_value', `${which} has ${prompt.length} tokens${asked}; the context is ${contextMax}.`, {
    param: tokensMax !== null && room >= 1 ? keys.tokens : keys.prompt,
    hint: 'Shorten the prompt, or ask for fewer tokens.',
  });
}

function biasOf(bias: AnswerRequest['logit_bias'], vocabSize: number): ReadonlyMap<number, number> {
  const byId = new Map(Object.entries(bias ?? {}).map(([id, value]) => [Number(id), value]));
  const beyond = [...byId.keys()].find((id) => id >= vocabSize);
  if (beyond === undefined) return byId;
  throw new AppError('invalid_value', `logit_bias names the token ${beyond}; the vocabulary has ${vocabSize}.`, {
    param: 'logit_bias',
    hint: `Ids go from 0 to ${vocabSize - 1}.`,
  });
}

/** Parts of several answers in the order in which they come. */
function createQueue() {
  const parts: AnswerPart[] = [];
  let open = 0;
  let failure: { error: unknown } | null = null;
  let wake: () => void = () => undefined;
  return {
    join: () => {
      open += 1;
    },
    leave: () => {
      open -= 1;
      wake();
    },
    push: (part: AnswerPart) => {
      parts.push(part);
      wake();
    },
    fail: (error: unknown) => {
      failure ??= { error };
      wake();
    },
    async *all(): AsyncGenerator<AnswerPart> {
      for (;;) {
        const part = parts.shift();
        if (part !== undefined) yield part;
        else if (failure !== null) throw failure.error;
        else if (open === 0) return;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    },
  };
}
