import { AppError, type ErrorCode } from '@moraine/contract';
import type { OwnAnswer, RowQuestion } from '@moraine/recipes';
import OpenAI, { APIConnectionError, APIError } from 'openai';

/** Address with `/v1`, and the key that it takes. */
export interface Place {
  baseUrl: string;
  apiKey: string;
}

export interface AskOptions extends Place {
  model: string;
  /** Share of the update that answers. */
  lambda: number | undefined;
  /** Tokens of an answer at most; undefined: what the context leaves, of texts that are gone on with `RAW_TOKENS`. */
  tokensMax: number | undefined;
  /** Rows of prompt and completion are gone on with as they are, without a chat template. */
  isRaw: boolean;
  /** Questions under way at once. */
  together: number;
  onAnswer(done: number): void;
}

/** A text has no end of its own as a conversation has. */
const RAW_TOKENS = 256;

// A model that is being loaded answers 503 with the time to wait, which the client keeps to.
const clientAt = ({ baseUrl, apiKey }: Place): OpenAI => new OpenAI({ baseURL: baseUrl, apiKey, maxRetries: 8 });

/** One answer of a conversation. @throws AppError as the server says. */
export async function askChat(
  place: Place,
  body: OpenAI.ChatCompletionCreateParamsNonStreaming & { lambda?: number | undefined },
  signal: AbortSignal,
): Promise<{ answer: string; finish_reason: string | null; usage: unknown }> {
  try {
    const { choices, usage } = await clientAt(place).chat.completions.create(body, { signal });
    const [choice] = choices;
    return { answer: choice?.message.content ?? '', finish_reason: choice?.finish_reason ?? null, usage };
  } catch (cause) {
    throw asAppError(cause, place);
  }
}

/** Asks a model every question at temperature 0, some at once. @throws AppError where none can be asked: no server, no such model, a wrong key. */
export async function askAll(questions: readonly RowQuestion[], options: AskOptions): Promise<OwnAnswer[]> {
  const { baseUrl, apiKey, together, onAnswer } = options;
  const client = clientAt({ baseUrl, apiKey });
  const answers: OwnAnswer[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < questions.length; i = next++) {
      answers[i] = await askOne(client, questions[i] as RowQuestion, options);
      onAnswer(++done);
    }
  };
  await Promise.all(Array.from({ length: together }, work));
  return answers;
}

async function askOne(client: OpenAI, question: RowQuestion, options: AskOptions): Promise<OwnAnswer> {
  try {
    return { text: await answerTo(client, question, options), problem: null };
  } catch (cause) {
    if (cause instanceof APIError && cause.status === 400)
      return { text: '', problem: `Row ${question.id}: ${messageOf(cause)}` };
    throw asAppError(cause, options);
  }
}

async function answerTo(client: OpenAI, { ask }: RowQuestion, options: AskOptions): Promise<string> {
  const { model, lambda, tokensMax } = options;
  const shared = { model, temperature: 0, ...(lambda === undefined ? {} : { lambda }) };
  const raw = 'prompt' in ask ? ask : rawOf(ask, options);
  if (raw !== null) {
    const stop = raw.stops.length === 0 ? {} : { stop: [...raw.stops] };
    const { choices } = await client.completions.create({
      ...{ ...shared, ...stop, prompt: raw.prompt },
      max_tokens: tokensMax ?? RAW_TOKENS,
    });
    return choices[0]?.text ?? '';
  }
  const { messages, tools } = ask as Extract<RowQuestion['ask'], { messages: unknown }>;
  const limit = tokensMax === undefined ? {} : { max_tokens: tokensMax };
  const body = { ...shared, ...limit, messages, ...(tools.length === 0 ? {} : { tools }) };
  const { choices } = await client.chat.completions.create(
    body as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming,
  );
  return choices[0]?.message.content ?? '';
}

/** A question without a conversation, as a base without a chat template was trained on it. */
function rawOf(
  { messages }: Extract<RowQuestion['ask'], { messages: unknown }>,
  { isRaw }: AskOptions,
): { prompt: string; stops: readonly string[] } | null {
  if (!isRaw) return null;
  const [message] = messages;
  if (messages.length === 1 && typeof message?.content === 'string') return { prompt: message.content, stops: [] };
  throw new AppError('invalid_request', '--raw is for rows of prompt and completion; these hold conversations.', {
    hint: 'Leave it out.',
  });
}

const messageOf = (cause: APIError): string => {
  const { error } = cause as { error?: unknown };
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : cause.message;
};

const CODES: Readonly<Record<number, ErrorCode>> = { 400: 'invalid_value', 401: 'invalid_api_key', 404: 'not_found' };

function asAppError(cause: unknown, { baseUrl }: Place): unknown {
  if (cause instanceof APIConnectionError)
    return new AppError('unavailable', `No answer from ${baseUrl}.`, {
      hint: 'Start the stack with `npm start`, or name a server with --url.',
      cause,
    });
  if (!(cause instanceof APIError)) return cause;
  const code = CODES[cause.status ?? 0] ?? 'unavailable';
  return new AppError(code, messageOf(cause), { cause });
}
