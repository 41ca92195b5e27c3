import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, FileObject } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import OpenAI, { toFile } from 'openai';
import { SHIPPED_BASE } from '../register-base.js';
import type { StackAddress } from '../up/stack-file.js';
import { type DemoFile, type DemoMethod, type DemoPlan, requestOf, type TaskFile } from './plan.js';

export interface SubmittedRun {
  method: DemoMethod;
  id: string;
}

/** The stock client, pointed at our stack. */
export const openaiClient = ({ origin, apiKey }: StackAddress): OpenAI =>
  new OpenAI({ baseURL: `${origin}/v1`, apiKey });

/** Uploads the task's files with `files.create`. A file with the same name and bytes from an earlier demo is used again. */
export async function uploadFiles(
  openai: OpenAI,
  client: Client,
  files: DemoFile[],
): Promise<Record<TaskFile, string>> {
  const { data: present } = await client.call('listFiles', { query: {} });
  const ids: Partial<Record<TaskFile, string>> = {};
  for (const { role, filename, purpose, content } of files) {
    const sha256 = await digest(content);
    const same = present.find(
      (file) =>
        file.filename === filename && file.sha256 === sha256 && file.purpose === purpose && file.status === 'processed',
    );
    ids[role] = same?.id ?? (await upload(openai, { role, filename, purpose, content }));
  }
  return ids as Record<TaskFile, string>;
}

async function upload(openai: OpenAI, { filename, purpose, content }: DemoFile): Promise<string> {
  let file = await openai.files.create({ file: await toFile(content, filename), purpose });
  while (file.status === 'uploaded') {
    await sleep(50);
    file = await openai.files.retrieve(file.id);
  }
  if (file.status === 'error')
    throw new AppError(
      'invalid_file',
      `${filename} was refused: ${FileObject.partial().parse(file).status_details ?? ''}`,
    );
  return file.id;
}

async function digest(content: Buffer): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', new Uint8Array(content))).toString('hex');
}

/** Queues the runs with `fineTuning.jobs.create`; our own keys travel as extra keys of the request. */
export async function submitRuns(
  openai: OpenAI,
  plan: DemoPlan,
  ids: Record<TaskFile, string>,
  seed: number,
): Promise<SubmittedRun[]> {
  const runs: SubmittedRun[] = [];
  for (const method of plan.methods) {
    const request = requestOf(plan, method, SHIPPED_BASE, ids, seed);
    runs.push({ method, id: (await openai.fineTuning.jobs.create(request)).id });
  }
  return runs;
}
