import { isDeepStrictEqual } from 'node:util';
import type { FastifySchema, FastifySerializerCompiler } from 'fastify';
import { z } from 'zod';

/** A body that was written already (see `tagged`): it is sent as it is. */
export class Written {
  constructor(readonly text: string) {}
}

const write = (body: unknown): string => (body instanceof Written ? body.text : JSON.stringify(body));

/** From here on a text goes to the socket as bytes: Node sets three times the length of a string aside for each that it sends. */
const LONG_TEXT = 2 ** 16;

/** Fastify sends bytes as well as texts; its type names the texts alone. */
const toSend = (text: string): string => (text.length < LONG_TEXT ? text : (Buffer.from(text) as unknown as string));

/**
 * Writes bodies once, without a look at their schema: the types of the handlers hold them to it. Looking took more time than all the rest
 * of a small answer.
 */
export const serializer: FastifySerializerCompiler<FastifySchema> = () => (body) => toSend(write(body));

/** The same, but refuses a body that its schema would refuse or change; tests run with it. */
export const checkingSerializer: FastifySerializerCompiler<FastifySchema | z.ZodType> =
  ({ schema, method, url }) =>
  (body: unknown) => {
    const text = write(body);
    if (!(schema instanceof z.ZodType)) return toSend(text);
    const sent: unknown = JSON.parse(text);
    const encoded = schema.safeParse(sent);
    if (!encoded.success) throw new Error(`${method} ${url} sends what its schema refuses: ${encoded.error.message}`);
    if (!isDeepStrictEqual(JSON.parse(JSON.stringify(encoded.data)), sent))
      throw new Error(`${method} ${url} sends keys that its schema does not have.`);
    return toSend(text);
  };
