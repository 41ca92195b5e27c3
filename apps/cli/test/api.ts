import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createClient } from '@moraine/contract/client';
import { startApi } from '../../api/test/support.js';
import { moraineJson, moraineOnce } from './stack.js';

export type CliApi = Awaited<ReturnType<typeof openApi>>;

/** The real API in this process on the servers of the test run, without workers, and commands that talk to it. */
export async function openApi(settings: Parameters<typeof startApi>[0] = {}) {
  const api = await startApi(settings);
  const dir = mkdtempSync(path.join(tmpdir(), 'moraine commands '));
  const address = { origin: api.url, apiKey: api.key };
  const env = { OPENAI_BASE_URL: `${api.url}/v1`, OPENAI_API_KEY: api.key, MORAINE_DATA: path.join(dir, 'no stack') };
  const cli = (...words: string[]) => moraineOnce(words, env);
  return {
    api,
    client: createClient(address),
    address,
    /** A file in a folder of this test. */
    at: (name: string) => path.join(dir, name),
    cli,
    /** What a command prints with `--json`. */
    json: (...words: string[]) => moraineJson(words, env),
    async close() {
      await api.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
