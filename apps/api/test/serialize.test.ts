import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { checkingSerializer, serializer, Written } from '../src/plugins/serialize.js';

test.each([
  ['short', 10],
  ['long', 100_000],
])('a %s answer arrives as it was written, with its type and its length in bytes', async (_name, count) => {
  for (const compiler of [serializer, checkingSerializer]) {
    const app = Fastify();
    app.setSerializerCompiler(compiler);
    const body = { text: 'é😀'.repeat(count) };
    const schema = { response: { 200: z.object({ text: z.string() }) } };
    app.get('/object', { schema }, async () => body);
    app.get('/written', { schema }, (_request, reply) => reply.send(new Written(JSON.stringify(body))));
    for (const url of ['/object', '/written']) {
      const answer = await app.inject(url);
      expect(answer.json()).toEqual(body);
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
      expect(Number(answer.headers['content-length'])).toBe(Buffer.byteLength(JSON.stringify(body)));
    }
    await app.close();
  }
});
