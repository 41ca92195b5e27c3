import { isDeepStrictEqual } from 'node:util';
import type { FastifySchema, FastifySerializerCompiler } from 'fastify';
import { z } from 'zod';

/** From here on a text goes to the socket as bytes: Node sets three times the length of a string aside for each that it sends. */
const LONG_TEXT = 2 ** 16;

/** JSON text on its way to the socket; a handler may send one (see `tagged`). */
export class Written {
  readonly body: string | Buffer;

  constructor(text: string) {
    this.body = text.length < LONG_TEXT ? text : Buffer.from(text);
  }
}

/** Fastify sends bytes as well as texts; its type names the texts alone. */
const write = (body: unknown): string =>
  (body instanceof Written ? body : new Written(JSON.stringify(body))).body as string;

/**
 * Writes bodies once, without a look at their schema: the types of the handlers hold them to it. Looking took more time than all the rest
 * of a small answer.
 */
export const serializer: FastifySerializerCompiler<FastifySchema> = () => write;

/** The same, but refuses a body that its schema would refuse or change; tests run with it. */
export const checkingSerializer: FastifySerializerCompiler<FastifySchema | z.ZodType> =
  ({ schema, method, url }) =>
  (body: unknown) => {
    const written = write(body);
    if (!(schema instanceof z.ZodType)) return written;
    const sent: unknown = JSON.parse(written.toString());
    const encoded = schema.safeParse(sent);
    if (!encoded.success) throw new Error(`${method} ${url} sends what its schema refuses: ${encoded.error.message}`);
    if (!isDeepStrictEqual(JSON.parse(JSON.stringify(encoded.data)), sent))
      throw new Error(`${method} ${url} sends keys that its schema does not have.`);
    return written;
  };
