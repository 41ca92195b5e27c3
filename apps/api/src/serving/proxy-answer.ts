import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { AppError, errorBody } from '@moraine/contract';
import { type ChosenProcess, loseProcess, type Services } from '@moraine/services';
import type { FastifyReply } from 'fastify';
import { askProcess, isNotDelivered, type Question } from './ask-process.js';
import { goneOf } from './gone-of.js';
import { underWay } from './under-way.js';
import { waitForProcess } from './wait-for-process.js';

/** Headers of a process that its caller is to see. */
const PASSED = ['content-type', 'cache-control', 'x-accel-buffering', 'retry-after', 'x-should-retry'];

/**
 * Has a process answer and passes its answer on as it comes, no faster than the caller reads. A caller that leaves ends the answer there.
 * @throws AppError `unavailable` where no process answers in time, or the one that did has ended.
 */
export async function proxyAnswer(
  s: Services,
  { waitMs, ...question }: Question & { waitMs: number | undefined },
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { response, end } = await ask(s, question, waitMs, goneOf(reply));
  reply.raw.once('close', end);
  void reply.code(response.statusCode ?? 502);
  for (const name of PASSED) {
    const value = response.headers[name];
    if (value !== undefined) void reply.header(name, value);
  }
  if (isStream(response)) return reply.send(Readable.from(passOn(response)));
  return reply.send(
    await text(response).catch(() => {
      throw ended();
    }),
  );
}

/** Asks until a process has had the question: one that nobody finds at its address is forgotten. */
async function ask(s: Services, question: Question, waitMs: number | undefined, signal: AbortSignal) {
  for (;;) {
    const process = await waitForProcess(s, question.model, waitMs, signal);
    const end = underWay.begin(process.id);
    const response = await askProcess(s, process, question, signal).catch((error: unknown) => {
      end();
      if (isNotDelivered(error)) return null;
      if (!signal.aborted) s.log.warn({ err: error, processId: process.id }, 'an inference process ended too early');
      throw ended();
    });
    // Another program, or another process of ours, has its port by now.
    if (response !== null && response.statusCode !== 401) return { response, end };
    response?.destroy();
    end();
    await forget(s, process);
  }
}

async function forget(s: Services, { id, address }: ChosenProcess): Promise<void> {
  s.log.warn({ processId: id, address }, 'nobody answers at the address of an inference process');
  await loseProcess(s, id);
}

const isStream = ({ headers }: IncomingMessage): boolean =>
  (headers['content-type'] ?? '').startsWith('text/event-stream');

/** What comes, and where it breaks off an event that says so: the status is out already. */
async function* passOn(response: IncomingMessage): AsyncGenerator<Buffer | string> {
  try {
    for await (const chunk of response) yield chunk as Buffer;
  } catch {
    yield `data: ${JSON.stringify(errorBody(ended()))}\n\n`;
  }
}

const ended = (): AppError =>
  new AppError('unavailable', 'The process that answered has ended; the answer is not whole.', {
    hint: 'Ask again: another process answers.',
  });
