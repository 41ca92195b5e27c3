import { randomInt } from 'node:crypto';
import { AppError } from '@moraine/contract';
import type { ChatRequest, FinishReason, TextRequest, Usage } from '@moraine/contract/serving';
import type { TextTokenizer } from '@moraine/data';
import { createTextSoFar, type jsonConstraint, type Served } from '@moraine/recipes';

/** What both endpoints ask of an answer. */
export type AnswerRequest = Omit<ChatRequest & TextRequest, 'messages' | 'prompt' | 'logprobs' | 'max_tokens'>;

export interface AskedAnswers {
  prompts: readonly (readonly number[])[];
  /** Tokens of an answer at most; null: what the context leaves. */
  tokensMax: number | null;
  /** In place of all that the context leaves. */
  tokensUnasked?: number;
  /** What the request calls these two. */
  keys: { prompt: string; tokens: string };
  /** Likeliest tokens listed at each place; null: no log-probabilities. */
  logprobs: number | null;
  /** Makes the text of the tokens of an answer to a prompt; default without special tokens. */
  decode?: (prompt: readonly number[]) => (ids: readonly number[]) => string;
  /** Whether the token that ends an answer is one of its tokens. */
  withEnding?: boolean;
  /** What an answer may say. */
  constrain?: ReturnType<typeof jsonConstraint>;
  /** Whether an answer ends where it has this text. */
  isOver?: (text: string) => boolean;
}

/** Some of an answer, in order: text that is certain, and the tokens since the part before where they are asked for. */
export interface AnswerPart {
  index: number;
  text: string;
  tokens: AnswerToken[];
  /** Not null at the answer's end. */
  finishReason: FinishReason | null;
}

export interface AnswerToken extends TokenText {
  logprob: number;
  top: (TokenText & { logprob: number })[];
}

export interface TokenText {
  id: number;
  /** Of letters that several tokens spell, the last has them. */
  text: string;
  bytes: Uint8Array;
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
/** To all prompts of a request. Each has a place in memory before the first is written. */
const REQUEST_ANSWERS_MAX = 4_096;

/** @throws AppError `invalid_value` for a request of more answers than one may have; before its prompts are read. */
export function checkCount(prompts: number, n: number): void {
  if (prompts * n <= REQUEST_ANSWERS_MAX) return;
  const both = prompts > 1 ? `${prompts} prompts and n ${n}` : `n ${n}`;
  throw new AppError(
    'invalid_value',
    `${both} are ${prompts * n} answers; a request has at most ${REQUEST_ANSWERS_MAX}.`,
    {
      param: prompts > REQUEST_ANSWERS_MAX ? 'prompt' : 'n',
      hint: 'Ask in several requests.',
    },
  );
}

/**
 * Begins `n` answers to each prompt; answer i of prompt p has the index p·n + i.
 * @throws AppError `not_found`, `invalid_value`, `unavailable`.
 */
export function beginAnswers(served: Served, request: AnswerRequest, asked: AskedAnswers): Answers {
  served.requireModel(request.model);
  const { tokenizer } = served;
  const plain = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true });
  const { isOver, constrain } = asked;
  const stop = typeof request.stop === 'string' ? [request.stop] : (request.stop ?? []);
  const n = request.n ?? 1;
  const queue = createQueue();
  const seed = folded(request.seed ?? randomInt(SEED_END));
  const used = { prompt_tokens: 0, completion_tokens: 0, cached_tokens: 0 };
  const shared = {
    temperature: request.temperature ?? 1,
    topP: request.top_p ?? 1,
    topK: request.top_k ?? 0,
    minP: request.min_p ?? 0,
    presencePenalty: request.presence_penalty ?? 0,
    frequencyPenalty: request.frequency_penalty ?? 0,
    logitBias: biasOf(request.logit_bias, served.vocabSize),
    seed,
    readsWhole: request.seed != null,
    stop,
    stopIds: tokenizer.eosIds,
    ...(constrain && { constrain }),
    request: Symbol(),
    logprobs: asked.logprobs ?? 0,
  };
  const rooms = asked.prompts.map((prompt, p) => roomFor(prompt, p, asked, served.contextMax));
  const begun: { cancel(): void }[] = [];
  const cancel = (): void => {
    for (const answer of begun) answer.cancel();
  };
  const begin = (prompt: readonly number[], room: number, stream: number, index: number): void => {
    used.prompt_tokens += stream === 0 ? prompt.length : 0;
    if (room === 0) {
      queue.push({ index, text: '', tokens: [], finishReason: 'length' });
      queue.leave();
      return;
    }
    const decode = asked.decode?.(prompt) ?? plain;
    const text = createTextSoFar(decode, stop);
    let told = 0;
    type SoFar = Parameters<NonNullable<Parameters<Served['begin']>[3]['onToken']>>[0];
    const tokensSince = (soFar: SoFar): AnswerToken[] => {
      if (asked.logprobs === null) return [];
      const from = told;
      told = soFar.ids.length;
      return describeTokens(tokenizer, soFar).slice(from);
    };
    const answer = served.begin(request.model, request.lambda ?? 1, prompt, {
      ...shared,
      stream,
      maxNewTokens: room,
      decode,
      ...(isOver && { isStopped: (ids: readonly number[]) => (isOver(decode(ids)) ? ids.length : null) }),
      onToken: (soFar) => {
        const more = text.add(soFar.ids);
        if (more === '') return;
        // Tokens whose text may still be taken back are told with what follows.
        queue.push({ index, text: more, tokens: text.isLevel() ? tokensSince(soFar) : [], finishReason: null });
      },
    });
    begun.push(answer);
    answer.completion.then(
      (whole) => {
        used.completion_tokens += whole.ids.length;
        if (stream === 0) used.cached_tokens += whole.cached;
        const finishReason = whole.finishReason === 'length' ? 'length' : 'stop';
        const tokens = tokensSince(asked.withEnding ? withEnding(whole) : whole);
        queue.push({ index, text: text.end(whole.text ?? ''), tokens, finishReason });
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
    usage: () => {
      const { cached_tokens, ...tokens } = used;
      const total_tokens = tokens.prompt_tokens + tokens.completion_tokens;
      return { ...tokens, total_tokens, prompt_tokens_details: { cached_tokens } };
    },
    cancel,
  };
}

/** A seed of 64 bits as one of 32; one from 0 on that has no more stays what it is. */
function folded(seed: number): number {
  const bits = BigInt.asUintN(64, BigInt(seed));
  return Number(BigInt.asUintN(32, bits ^ (bits >> 32n)));
}

type Completed = Awaited<ReturnType<Served['begin']>['completion']>;
type Scored = Pick<Completed, 'ids' | 'logprobs' | 'top'>;

/** An answer with the token that ended it as its last. */
const withEnding = ({ ids, logprobs, top, ending }: Completed): Scored =>
  ending === null
    ? { ids, logprobs, top }
    : { ids: [...ids, ending.id], logprobs: [...logprobs, ending.logprob], top: [...top, ending.top] };

/** Tokens with their texts, and the likeliest ones at their places. */
export function describeTokens(tokenizer: TextTokenizer, { ids, logprobs, top }: Scored): AnswerToken[] {
  const bytesOf = (id: number, text: string): Uint8Array => tokenizer.bytes(id) ?? Buffer.from(text);
  return tokenizer.pieces(ids).map((text, i) => ({
    id: ids[i] ?? -1,
    text,
    bytes: bytesOf(ids[i] ?? -1, text),
    logprob: logprobs[i] ?? Number.NaN,
    top: (top[i] ?? []).map(({ id, logprob }) => {
      const [alone = ''] = tokenizer.pieces([id]);
      return { id, text: alone, bytes: bytesOf(id, alone), logprob };
    }),
  }));
}

/** Tokens that an answer may have. @throws AppError `invalid_value` for a prompt that leaves none, or no place for as many as are asked for. */
function roomFor(
  prompt: readonly number[],
  p: number,
  { tokensMax, tokensUnasked, prompts, keys }: AskedAnswers,
  contextMax: number,
): number {
  const room = contextMax - prompt.length;
  // A prompt that fills the context can be scored still.
  if (room >= (tokensMax ?? 1)) return tokensMax ?? Math.min(room, tokensUnasked ?? room);
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
