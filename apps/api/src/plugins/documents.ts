import { readFileSync } from 'node:fs';
import { type FastifyDynamicSwaggerOptions, fastifySwagger } from '@fastify/swagger';
import { fastifySwaggerUi } from '@fastify/swagger-ui';
import { ErrorBody, ROUTES, type Route } from '@moraine/contract';
import type { FastifySchema } from 'fastify';
import fp from 'fastify-plugin';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')));

/** Fields of the forms, which their handlers parse part by part. */
const FORMS: Record<string, z.ZodType> = {
  createFile: z.object({
    file: z
      .file()
      .describe(
        'JSONL, rows of one kind: `{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}`, `{"prompt": "…", "completion": "…"}` or `{"text": "…"}`.',
      ),
    purpose: z
      .enum(['fine-tune', 'evals'])
      .describe('`fine-tune` for training and validation, `evals` for evaluation files.'),
    'expires_after[anchor]': z.literal('created_at').optional(),
    'expires_after[seconds]': z
      .int()
      .min(3600)
      .max(2592000)
      .optional()
      .describe('The file is deleted after so many seconds.'),
  }),
  addUploadPart: z.object({ data: z.file().describe('The bytes of the part.') }),
  createBase: z.object({
    name: z.string().describe('Letters, digits, dot, dash and underscore.'),
    files: z
      .array(z.file())
      .describe(
        'config.json, tokenizer.json, *.safetensors … of a Hugging Face folder; or all of them as one .tar or .tar.gz.',
      ),
  }),
  createAdapter: z.object({
    name: z.string().describe('Letters, digits, dot, dash and underscore.'),
    model: z
      .string()
      .optional()
      .describe('The registered base that it was trained on. Default: the one that its configuration names.'),
    files: z
      .array(z.file())
      .describe(
        "adapter_config.json and adapter_model.safetensors of PEFT, or a method's own files; or all of them as one .tar or .tar.gz, as a run's result is downloaded.",
      ),
  }),
};

const REFUSALS: Record<number, string> = {
  400: 'The request is wrong; the message names the key, the value and the fix.',
  401: 'No API key, or one that is not valid.',
  404: 'Nothing of this project has that id.',
  409: 'Not possible in the present state. Not worth a retry: x-should-retry is false.',
  413: 'Larger than this server takes.',
  429: 'Too many requests; retry-after says how long to wait.',
};

const refusals = (route: Route): Record<string, z.ZodType> => {
  const statuses = [401, 429];
  if (route.query || route.body || route.consumes) statuses.push(400);
  if (route.params) statuses.push(404);
  if (route.method !== 'GET' || route.path.endsWith('/adapter')) statuses.push(409);
  if (route.consumes) statuses.push(413);
  return Object.fromEntries(statuses.map((status) => [status, ErrorBody.describe(REFUSALS[status] ?? '')]));
};

/** A response that comes as other types too. */
const formats = ({ formats: types, response }: Route) =>
  types && {
    200: {
      description: 'JSON, or what `format` or the header `accept` asks for.',
      content: Object.fromEntries([
        ['application/json', { schema: response }],
        ...types.map((type) => [type, { schema: z.string() }]),
      ]),
    },
  };

type Transform = NonNullable<FastifyDynamicSwaggerOptions['transform']>;

/** Adds what only the document needs: forms, streams, the error shape. The schemas that Fastify checks stay as they are. */
const transform: Transform = (input) => {
  const schema = input.schema as (FastifySchema & { operationId?: string; hide?: boolean }) | undefined;
  const name = schema?.operationId;
  if (!schema || !name || !(name in ROUTES)) return { schema: { hide: true }, url: input.url };
  const route: Route = ROUTES[name as keyof typeof ROUTES];
  const body = FORMS[name];
  const bytes = route.produces && {
    200: { description: 'The bytes, or the stream.', content: { [route.produces]: { schema: z.string() } } },
  };
  const documented = {
    ...schema,
    ...(body && { body }),
    response: { ...(formats(route) ?? (schema.response as object) ?? bytes), ...refusals(route) },
  };
  const toJson = (schema: object) =>
    jsonSchemaTransform({ ...input, schema } as Parameters<typeof jsonSchemaTransform>[0]);
  const form = toJson(documented);
  if (!route.json || !route.consumes) return form;
  const json = toJson({ ...documented, body: route.json });
  const content = { [route.consumes]: { schema: form.schema.body }, 'application/json': { schema: json.schema.body } };
  return { ...form, schema: { ...form.schema, body: { content } } };
};

const Document = z.looseObject({
  paths: z.record(z.string(), z.unknown()),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});
const REFERENCE = /"#\/components\/schemas\/(\w+)"/g;
const namesIn = (text: string): string[] => [...text.matchAll(REFERENCE)].flatMap(([, name]) => name ?? []);

/** Drops schemas that nothing refers to: every schema with an id comes as an input and an output, one of which is seldom used. */
const tidy: typeof jsonSchemaTransformObject = (input) => {
  const document = jsonSchemaTransformObject(input);
  const { paths, components } = Document.parse(document);
  const { schemas } = components;
  const used = new Set<string>();
  const queue = namesIn(JSON.stringify(paths));
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (used.has(name)) continue;
    used.add(name);
    queue.push(...namesIn(JSON.stringify(schemas[name])));
  }
  const kept = Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)));
  const text = JSON.stringify({ ...document, components: { ...components, schemas: kept } });
  const short = (name: string): string => name.replace(/Input$/, '');
  const rename = [...used].filter((name) => name !== short(name) && !used.has(short(name)));
  return JSON.parse(rename.reduce((all, name) => all.replaceAll(`${name}"`, `${short(name)}"`), text));
};

/** Collects the routes registered after it into an OpenAPI 3.1 document. */
export const documents = fp(async (app) => {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.1',
      info: {
        title: 'Moraine',
        version,
        description:
          'Self-hosted fine-tuning with the OpenAI fine-tuning API: point a stock client at this server. Keys of our own stand beside the standard ones.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: [{ key: [] }],
    },
    transform,
    transformObject: tidy,
  });
});

/** /openapi.json and the page that shows it, both public. */
export const documentPages = fp(async (app) => {
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  await app.register(fastifySwaggerUi, {
    routePrefix: '/docs',

    uiConfig: { persistAuthorization: true },
  });
});
