/** Draws answers from the base and from every final run of an experiment; what was drawn before is read again. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EvaluationTaskObject, isTerminal } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import type { EvaluationItem, Sampling } from '@moraine/contract/suites';
import { BASE, type SampledModel } from './diversity.js';

export interface Asked {
  /** Rows of a suite on this machine. */
  file: string;
  suite: string;
  sampling: Sampling;
  /** Items at most; null: all. */
  limit: number | null;
}

/** @throws Error naming an evaluation that failed. */
export async function sampleModels(client: Client, experimentId: string, asked: Asked): Promise<SampledModel[]> {
  const { model: base, cells } = await client.call('getExperiment', { params: { id: experimentId } });
  const file = await fileId(client, asked.file);
  const models: Omit<SampledModel, 'items'>[] = [{ arm: BASE, seed: null, model: base }];
  for (const { arm, phase, seed, run_id: id } of cells) {
    if (phase !== 'final' || id === null) continue;
    const { fine_tuned_model: model } = await client.call('getRun', { params: { id } });
    if (model !== null) models.push({ arm, seed, model });
  }
  const evaluations = [];
  for (const { model } of models) evaluations.push(await ensureEvaluation(client, model, file, asked));
  const sampled: SampledModel[] = [];
  for (const [i, { id }] of evaluations.entries()) {
    const { status, error } = await ended(client, id);
    const of = models[i] as (typeof models)[number];
    if (status !== 'succeeded') throw new Error(`${id} of ${of.model} is ${status}: ${error?.message ?? ''}`);
    process.stdout.write(`${of.model}: sampled\n`);
    sampled.push({ ...of, items: await itemsOf(client, id) });
  }
  return sampled;
}

/** The id of the uploaded rows, found by their hash in the name. */
async function fileId(client: Client, path: string): Promise<string> {
  const bytes = readFileSync(path);
  const name = `${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}-${basename(path)}`;
  const { data } = await client.call('listFiles', { query: { purpose: 'evals' } });
  const found = data.find(({ filename }) => filename === name);
  if (found) return found.id;
  const body = new FormData();
  body.append('file', new Blob([bytes]), name);
  body.append('purpose', 'evals');
  return (await client.call('createFile', { body })).id;
}

async function ensureEvaluation(
  client: Client,
  model: string,
  file: string,
  { suite, sampling, limit }: Asked,
): Promise<EvaluationTaskObject> {
  const { data } = await client.call('listEvaluationTasks', { query: { model, suite, limit: 100 } });
  const keyOf = (of: { file: string; limit: number | null; sampling: Sampling | null }): string => {
    const { samples, temperature, top_p, seed, ks } = of.sampling ?? sampling;
    return JSON.stringify([of.file, of.limit, of.sampling !== null, samples, temperature, top_p, seed, ks]);
  };
  const wanted = keyOf({ file, limit, sampling });
  const found = data.find((one) => keyOf(one) === wanted && !['failed', 'cancelled'].includes(one.status));
  if (found) return found;
  const body = { model, suite, file, sampling, ...(limit === null ? {} : { limit }) };
  return client.call('createEvaluation', { body });
}

async function ended(client: Client, id: string): Promise<EvaluationTaskObject> {
  for (;;) {
    const now = await client.call('getEvaluation', { params: { id } });
    if (isTerminal(now.status)) return now;
    await sleep(1_000);
  }
}

async function itemsOf(client: Client, id: string): Promise<EvaluationItem[]> {
  const items: EvaluationItem[] = [];
  for (let more = true; more; ) {
    const query = { limit: 100, include: 'samples' as const, after: items.at(-1)?.index };
    const page = await client.call('listEvaluationItems', { params: { id }, query });
    items.push(...page.data);
    more = page.has_more;
  }
  return items;
}
