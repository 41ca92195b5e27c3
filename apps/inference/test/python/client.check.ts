import { fileURLToPath } from 'node:url';
import { openServed } from '@moraine/recipes';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { installClient, python } from '../../../api/test/python/python-client.js';
import { createInference } from '../../src/index.js';
import { CALL_ID, writeCallingBase } from '../calling-base.js';

it('the stock Python client is answered as it expects', async () => {
  const packages = await installClient();
  const served = await openServed({
    ...{ baseDir: writeCallingBase(), baseName: 'base', adapters: [], rows: 2, contextMax: 128 },
  });
  const app = createInference({ served, key: 'secret', log: pino({ level: 'silent' }) });
  try {
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const env = { PYTHONPATH: packages, OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: 'secret' };
    const said = await python([fileURLToPath(new URL('client.py', import.meta.url)), String(CALL_ID)], env);
    const call = ['function', 'look', '{"at": 1.0}'];
    expect(JSON.parse(said)).toEqual({
      ...{ streamed: true, usage: true, logprobs: Array(8).fill(2) },
      ...{ calls: [call, call], helped: [call[2], 1], again: 'assistant', back: 1, first: ['tool_calls', 1] },
      ...{ seed: true, answers: 3, objects: true },
      echo: [
        [null, 3],
        [null, 2],
      ],
      models: ['base'],
      model: [404, 'not_found', 'model', true],
      value: [400, 'invalid_value', 'temperature', true],
      schema: [400, 'invalid_value', 'response_format', true],
      key: [401, 'invalid_api_key', null, true],
    });
  } finally {
    await app.close();
    served.dispose();
  }
});
