import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { ROUTES, type RouteName } from '@moraine/contract';
import Fastify from 'fastify';
import { documents } from './plugins/documents.js';
import { schemaOf, validator } from './routes/schema.js';

const FILE = new URL('../../../docs/openapi.json', import.meta.url);

/** The OpenAPI document of the route table, made without any service. */
export async function openApiDocument(): Promise<string> {
  const app = Fastify();
  app.setValidatorCompiler(validator);
  app.setSerializerCompiler(() => JSON.stringify);
  await app.register(documents);
  for (const [name, { method, path }] of Object.entries(ROUTES))
    app.route({ method, url: path, schema: schemaOf(name as RouteName), handler: async () => undefined });
  await app.ready();
  const text = `${JSON.stringify(app.swagger(), null, 2)}\n`;
  await app.close();
  return text;
}

const text = await openApiDocument();
if (process.argv.includes('--check')) {
  if (!existsSync(FILE) || readFileSync(FILE, 'utf8') !== text) {
    process.stderr.write('docs/openapi.json is out of date: npm run openapi -w @moraine/api\n');
    process.exitCode = 1;
  }
} else writeFileSync(FILE, text);
