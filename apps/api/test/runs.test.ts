import { Readable } from 'node:stream';
import { RunMetrics } from '@moraine/contract';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepare, submit, train } from './fixtures.js';
import { startApi, type TestApi, type Wire } from './support.js';

let api: TestApi;
let run: Wire;
beforeAll(async () => {
  api = await startApi();
  run = await submit(api, await prepare(api));
  await train(api.services, run.id);
});
afterAll(() => api.close());

async function filesOf(path: string): Promise<{ headers: Headers; names: string[] }> {
  const response = await fetch(api.url + path, { headers: { authorization: `Bearer ${api.key}` } });
  const tar = Readable.from(response.body ?? []).pipe(extract());
  const names: string[] = [];
  for await (const entry of tar) {
    names.push(entry.header.name);
    entry.resume();
  }
  return { headers: response.headers, names: names.sort() };
}

describe('a run that has succeeded', () => {
  it.each(['', '?format=native', '?format=peft'])('gives its adapter as a tar%s', async (query) => {
    const { headers, names } = await filesOf(`/v1/runs/${run.id}/adapter${query}`);
    expect(names).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    expect(headers.get('content-type')).toBe('application/x-tar');
    expect(headers.get('content-disposition')).toMatch(new RegExp(`^attachment; filename="${run.id}-\\w+\\.tar"`));
  });

  it('refuses a format that there is not, a share beyond 0 to 1, and numbers that are none', async () => {
    const odd = await api.ask('GET', `/v1/runs/${run.id}/adapter?format=pfet`);
    expect(odd.json.error.message).toMatch(/Did you mean "peft"\?/);
    for (const [query, param] of [
      ['lambda=1.5', 'lambda'],
      ['lambda=', 'lambda'],
      ['lambda=half', 'lambda'],
      ['format=lora', 'rank'],
      ['format=lora&rank=0', 'rank'],
      ['format=peft&rank=8', 'rank'],
    ]) {
      const { status, json } = await api.ask('GET', `/v1/runs/${run.id}/adapter?${query}`);
      expect([status, json.error.param], query).toEqual([400, param]);
    }
  });

  it('has its metrics, each step once, and only those asked for', async () => {
    const path = `/v1/runs/${run.id}/metrics`;
    const all = RunMetrics.parse((await api.ask('GET', path)).json);
    expect(all.series.map((series) => series.name).sort()).toEqual(['learning_rate', 'train_loss']);
    const one = RunMetrics.parse((await api.ask('GET', `${path}?names=train_loss&from=3&to=8`)).json);
    expect(one.series.map((series) => series.points.map((point) => point.step))).toEqual([[3, 4, 5, 6, 7, 8]]);
    const coarse = RunMetrics.parse((await api.ask('GET', `${path}?names=train_loss&buckets=2`)).json);
    expect(coarse.series[0]?.points.length).toBeLessThanOrEqual(2);
  });

  it('has its log, from a line on', async () => {
    const all = await api.ask('GET', `/v1/runs/${run.id}/logs`);
    expect(all.json.data).toMatchObject([{ attempt: 1, level: 'info', message: 'ten steps done' }]);
    const { seq } = all.json.data[0] as unknown as { seq: number };
    expect((await api.ask('GET', `/v1/runs/${run.id}/logs?after=${seq}`)).json.data).toEqual([]);
  });
});
