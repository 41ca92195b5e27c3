import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, isTerminal, type RunObject, StreamMessage } from '@moraine/contract';
import { type Client, createClient, readEvents } from '@moraine/contract/client';
import type { StackAddress } from '../up/stack-file.js';

/** What is known of a run while it is watched. */
export interface WatchedRun {
  label: string;
  id: string;
  status: RunObject['status'];
  step: number;
  steps: number;
  loss: number | null;
  firstLoss: number | null;
  tokensPerSecond: number | null;
  /** Mean time of the last steps, milliseconds. */
  stepMs: number | null;
  /** The last thing the run said, or why it waits. */
  note: string;
}

const POLL_MS = 2_000;
const RETRY_MS = 500;

export const watched = (label: string, run: { id: string }, steps: number): WatchedRun => ({
  label,
  id: run.id,
  status: 'queued',
  step: 0,
  steps,
  loss: null,
  firstLoss: null,
  tokensPerSecond: null,
  stepMs: null,
  note: '',
});

/**
 * Keeps `run` up to date until it has ended: live from its stream, resumed where it broke off, and from the run itself every two
 * seconds, which also says why it waits. An API that is away for a while is waited for.
 */
export async function watchRun(address: StackAddress, run: WatchedRun, signal: AbortSignal): Promise<void> {
  const client = createClient(address);
  const over = new AbortController();
  const both = AbortSignal.any([signal, over.signal]);
  const following = follow(address, client, run, both);
  while (!signal.aborted) {
    try {
      const now = await client.call('getRun', { params: { id: run.id }, signal });
      run.status = now.status;
      run.steps = now.progress.steps;
      if (now.status === 'queued' || run.note === '') run.note = now.state_reason?.message ?? run.note;
      if (isTerminal(now.status)) {
        run.note = now.error?.message ?? '';
        break;
      }
    } catch {
      // The API is away; it is asked again.
    }
    await sleep(POLL_MS / (run.step >= run.steps ? 4 : 1), undefined, { signal }).catch(() => undefined);
  }
  over.abort();
  await following;
}

async function follow({ apiKey }: StackAddress, client: Client, run: WatchedRun, signal: AbortSignal): Promise<void> {
  let lastId: string | null = null;
  while (!signal.aborted) {
    try {
      const headers: Record<string, string> = { accept: 'text/event-stream', authorization: `Bearer ${apiKey}` };
      if (lastId) headers['last-event-id'] = lastId;
      const response = await fetch(client.url('streamRun', { params: { id: run.id } }), { headers, signal });
      if (!response.ok || !response.body)
        throw new AppError('unavailable', `The stream was refused with status ${response.status}.`);
      for await (const { id, event, data } of readEvents(response.body)) {
        lastId = id ?? lastId;
        const message = StreamMessage.safeParse({ event, data: JSON.parse(data) });
        if (message.success) apply(run, message.data);
      }
    } catch {
      if (signal.aborted) return;
    }
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Takes one message of the stream into what is known. */
export function apply(run: WatchedRun, message: StreamMessage): void {
  switch (message.event) {
    case 'metric': {
      const { step, values } = message.data;
      if (values.train_loss === undefined) return;
      run.step = Math.max(run.step, step);
      run.loss = values.train_loss;
      run.firstLoss ??= values.train_loss;
      run.tokensPerSecond = smooth(run.tokensPerSecond, values.tokens_per_second);
      run.stepMs = smooth(run.stepMs, values.step_ms);
      run.note = '';
      return;
    }
    case 'status':
      run.status = message.data.status;
      if (message.data.state_reason) run.note = message.data.state_reason.message;
      return;
    case 'event':
      // What it waits for is worth more than that it was created.
      if (run.status !== 'queued') run.note = message.data.message;
      return;
    case 'reset':
      run.step = message.data.step;
      return;
    case 'log':
    case 'progress':
      return;
  }
}

const smooth = (before: number | null, now: number | undefined): number | null =>
  now === undefined ? before : before === null ? now : before * 0.8 + now * 0.2;

/** Seconds to the last step, null before there is a step to go by. */
export const secondsLeft = (run: WatchedRun): number | null =>
  run.stepMs === null ? null : ((run.steps - run.step) * run.stepMs) / 1000;
