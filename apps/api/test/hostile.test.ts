import { readdir } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { baseFiles, baseForm } from './fixtures.js';
import { startApi, type TestApi } from './support.js';

// What somebody sends must not hold up what others ask for.

let api: TestApi;
beforeAll(async () => {
  api = await startApi({ baseLimitBytes: 100_000_000 });
  expect((await register('good')).status).toBe(200);
});
afterAll(() => api.close());

type Files = ReturnType<typeof baseFiles>;
const register = (name: string, files: Files = baseFiles()) =>
  api.ask('POST', '/v1/bases', { body: baseForm(name, files) });

const config = (changes: object): Files => ({
  'config.json': JSON.stringify({ ...JSON.parse(String(baseFiles()['config.json'])), ...changes }),
});
function headerOnly(count: number): Files {
  const entries = Array.from({ length: count }, (_, i) => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`);
  const text = new TextEncoder().encode(`{${entries.join(',')}}`);
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return { 'model.safetensors': bytes };
}
const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

it.each<[what: string, files: () => Files, says: RegExp]>([
  ['of a million layers', () => config({ num_hidden_layers: 1_000_000 }), /num_hidden_layers: 1000000 is more than/],
  ['of 900,000 tensors', () => headerOnly(900_000), /config\.json describes a model of/],
  ['of a deep config', () => ({ 'config.json': nested(100_000) }), /config\.json is nested more than 100/],
  ['of a deep tokenizer', () => ({ 'tokenizer.json': nested(100_000) }), /tokenizer\.json of the base is nested/],
])('a base %s is refused while the server goes on, and leaves nothing', async (what, files, says) => {
  const sent = baseForm(`bad ${what}`.replaceAll(/[ ,]/g, '-'), { ...baseFiles(), ...files() });
  const delay = monitorEventLoopDelay({ resolution: 10 });
  const before = process.memoryUsage.rss();
  delay.enable();
  const answer = await api.ask('POST', '/v1/bases', { body: sent });
  delay.disable();
  expect([answer.status, answer.json.error.message]).toEqual([400, expect.stringMatching(says)]);
  // The body itself is read in this process too; seconds would be a parse.
  expect(delay.max / 1e6).toBeLessThan(2_000);
  expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(256);
  expect(await readdir(`${api.blobsDir}/incoming`)).toEqual([]);
});
