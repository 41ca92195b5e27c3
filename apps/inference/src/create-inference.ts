import { randomUUID, timingSafeEqual } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError, errorBody, parse, refusalOfMany } from '@moraine/contract';
import { ChatRequest, TextRequest } from '@moraine/contract/serving';
import type { Served } from '@moraine/recipes';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { Answers } from './answer.js';
import { beginChat, chatChunks, wholeChat } from './chat.js';
import { toWireError } from './errors.js';
import { HEARTBEAT_MS, withHeartbeats } from './heartbeat.js';
import { beginText, textChunks, wholeText } from './text.js';

export interface InferenceOptions {
  /** What a request is answered by; a server of its own has one for all. @throws AppError when it cannot be had. */
  served: Served | ((request: FastifyRequest) => Promise<Served>);
  /** Callers say it as a bearer key; null: anybody may ask. */
  key: string | null;
  log: Logger;
}

const BODY_BYTES_MAX = 16 * 2 ** 20;

/** The server of a base and its adapters, ready to listen. */
export function createInference({ served, key, log }: InferenceOptions): FastifyInstance {
  const app = Fastify({
    loggerInstance: log,
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    genReqId: () => randomUUID(),
    logController: new LogController({ disableRequestLogging: true }),
  }) as unknown as FastifyInstance;
  const servedFor = typeof served === 'function' ? served : async () => served;
  const since = Math.floor(Date.now() / 1_000);
  const refuse = (error: AppError, reply: FastifyReply): FastifyReply => {
    void reply.header('x-should-retry', String(error.retryable));
    if (error.status === 503) void reply.header('retry-after', '1');
    return reply.code(error.status).send(errorBody(error));
  };
  app.setErrorHandler((thrown, request, reply) => {
    const error = toWireError(thrown);
    if (error.code === 'internal') request.log.error({ err: thrown }, error.message);
    return refuse(error, reply);
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new AppError('route_not_found', `There is no ${request.method} ${request.url}.`, {
      hint: 'There are POST /v1/chat/completions, POST /v1/completions and GET /v1/models.',
    });
    return refuse(error, reply);
  });
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    if (key === null || request.url === '/healthz' || isKey(request.headers.authorization, key)) return;
    throw new AppError('invalid_api_key', 'The request has no key of this server, or another one.', {
      hint: 'Send the header authorization: Bearer KEY.',
    });
  });
  readJsonWithText(app);
  app.get('/healthz', async () => ({ status: 'ok' }));
  app.get('/v1/models', async (request) => ({
    object: 'list',
    data: (await servedFor(request))
      .names()
      .map((id) => ({ id, object: 'model', created: since, owned_by: 'moraine' })),
  }));
  app.post('/v1/chat/completions', async (asked, reply) => {
    const { value, text } = bodyOf(asked.body);
    const request = parse(ChatRequest, value);
    const answers = untilGone(reply, beginChat(await servedFor(asked), request, text));
    return request.stream ? stream(reply, chatChunks(answers, request)) : wholeChat(answers, request);
  });
  app.post('/v1/completions', async (asked, reply) => {
    const request = parse(TextRequest, bodyOf(asked.body).value);
    const answers = untilGone(reply, beginText(await servedFor(asked), request));
    return request.stream ? stream(reply, textChunks(answers, request)) : wholeText(answers, request);
  });
  return app;
}

/** A body of JSON, and its text: of tools and calls the numbers and the order of keys are kept as written. */
interface Body {
  value: unknown;
  text: string;
}

function readJsonWithText(app: FastifyInstance): void {
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'string' },
    async (_request: FastifyRequest, text: string) => {
      const refusal = refusalOfMany(text);
      if (refusal) throw refusal;
      try {
        return { value: JSON.parse(text) as unknown, text } satisfies Body;
      } catch (cause) {
        const why = text === '' ? 'it is empty' : cause instanceof Error ? cause.message : String(cause);
        throw new AppError('invalid_request', `The body is no JSON: ${why}.`, { hint: 'Send an object.', cause });
      }
    },
  );
}

/** What `readJsonWithText` read; a request without a body has none. */
const bodyOf = (body: unknown): Body => (body as Body | undefined) ?? { value: undefined, text: '' };

/** Ends answers whose caller went away: their rows go to others by the next step. */
function untilGone<T extends Pick<Answers, 'cancel'>>(reply: FastifyReply, answers: T): T {
  // It left while what answers was brought.
  if (reply.raw.destroyed) answers.cancel();
  reply.raw.once('close', () => answers.cancel());
  return answers;
}

/** Sends events until the last, `[DONE]`. What goes wrong on the way is an event too: the status is out already. */
function stream(reply: FastifyReply, chunks: AsyncIterable<object>): FastifyReply {
  async function* events(): AsyncGenerator<string> {
    try {
      for await (const chunk of chunks) yield event(chunk);
      yield 'data: [DONE]\n\n';
    } catch (error) {
      reply.log.error({ err: error }, 'an answer ended by an error');
      yield event(errorBody(toWireError(error)));
    }
  }
  return reply
    .header('content-type', 'text/event-stream; charset=utf-8')
    .header('cache-control', 'no-cache')
    .header('x-accel-buffering', 'no')
    .send(Readable.from(withHeartbeats(events(), HEARTBEAT_MS)));
}

const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;

function isKey(header: string | undefined, key: string): boolean {
  const [given, wanted] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${key}`)];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
