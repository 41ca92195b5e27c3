import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ErrorBody, newId } from '@moraine/contract';
import { createApiKey, ensureDefaultProject, openServices, type Services } from '@moraine/services';
import { type TestServices, testServices } from '@moraine/testing';
import type { FastifyInstance } from 'fastify';
import { buildApp } from '../src/app.js';
import type { ApiEnv } from '../src/env.js';

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  json: Wire;
}

/** The keys of answers that tests look at; which of them are there depends on the route. */
export interface Wire {
  id: string;
  object: string;
  status: string;
  error: ErrorBody['error'];
  data: Wire[];
  has_more: boolean;
  first_id: string | null;
  last_id: string | null;
  rows: number;
  filename: string;
  problems: unknown[];
  url: string;
  fine_tuned_model: string;
  last_event_id: string;
  secret: string;
}

export interface Ask {
  key?: string | null;
  headers?: Record<string, string>;
  /** JSON, unless it is a form or text. */
  body?: unknown;
}

export type AskFunction = (method: string, path: string, options?: Ask) => Promise<Answer>;

export interface TestApi {
  app: FastifyInstance;
  services: Services;
  url: string;
  projectId: string;
  databaseUrl: string;
  redisUrl: string;
  blobsDir: string;
  key: string;
  ask: AskFunction;
  /** A key of a project that owns nothing. */
  foreignKey(): Promise<string>;
  close(): Promise<void>;
}

/** Sends requests to a server, with this key unless another is given. */
export function asker(url: string, ownKey: string): AskFunction {
  return async (method, path, { key = ownKey, headers = {}, body } = {}) => {
    const raw = body === undefined || body instanceof FormData || typeof body === 'string';
    const response = await fetch(url + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(key !== null && { authorization: `Bearer ${key}` }),
        ...(!raw && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: raw ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: (isJson ? JSON.parse(text) : {}) as Wire,
    };
  };
}

/** Addresses in place of those of the servers. */
export type Through = (t: TestServices) => Promise<{ databaseUrl?: string; redisUrl?: string; blobsDir?: string }>;

/** The real application on a free port of the loopback, with a database, a Redis and blobs of its own; `through`: other ways to these. */
export async function startApi(settings: Partial<ApiEnv> = {}, through?: Through): Promise<TestApi> {
  const t = await testServices();
  const services = through ? await openServices({ ...t, log: t.services.log, ...(await through(t)) }) : t.services;
  const env: ApiEnv = {
    databaseUrl: t.databaseUrl,
    redisUrl: t.redisUrl,
    blobsDir: t.blobsDir,
    host: '127.0.0.1',
    port: 0,
    publicUrl: null,
    dashboardDir: join(tmpdir(), 'moraine-no-dashboard'),
    uploadLimitBytes: 1024 ** 2,
    baseLimitBytes: 4 * 1024 ** 2,
    hub: { endpoint: undefined, token: undefined },
    rateLimit: 100_000,
    trustProxy: false,
    instance: null,
    checkResponses: true,
    drain: { delayMs: 0, timeoutMs: 5_000 },
    webhookPrivate: false,
    logLevel: 'silent',
    logFormat: 'json',
    ...settings,
  };
  const app = await buildApp(services, env);
  await app.listen({ host: env.host, port: 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  const project = await ensureDefaultProject(services);
  const { key } = await createApiKey(services, { projectId: project.id }, { name: 'test' });

  return {
    app,
    services,
    url,
    projectId: project.id,
    databaseUrl: t.databaseUrl,
    redisUrl: t.redisUrl,
    blobsDir: t.blobsDir,
    key,
    ask: asker(url, key),
    async foreignKey() {
      const other = await services.db.project.create({ data: { id: newId('project'), name: newId('project') } });
      return (await createApiKey(services, { projectId: other.id }, { name: 'foreign' })).key;
    },
    async close() {
      await app.close();
      if (services !== t.services) await services.close();
      await t.close();
    },
  };
}

/** A form with one file and fields, in the order of the stock TypeScript client: the file first. */
export function fileForm(
  text: string,
  fields: Record<string, string> = { purpose: 'fine-tune' },
  name = 'train.jsonl',
): FormData {
  const form = new FormData();
  form.append('file', new Blob([text]), name);
  for (const [key, value] of Object.entries(fields)) form.append(key, value);
  return form;
}

/** Chat rows as JSONL. */
export const chatRows = (count: number): string =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `say ${i}` },
        { role: 'assistant', content: `${i}` },
      ],
    }),
  ).join('\n');
