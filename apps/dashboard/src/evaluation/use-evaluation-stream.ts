import { EvaluationMessage, type EvaluationTaskObject, isTerminal } from '@moraine/contract';
import { type QueryClient, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { useIsVisible } from '../hooks/use-is-visible.js';
import { evaluationClient } from '../lib/evaluation-client.js';
import { keys } from '../lib/query-keys.js';
import { readSse, SseRefused } from '../stream/sse.js';
import { type Pages, withItems } from './added-items.js';

/** Heartbeats come every 2 s. */
const SILENCE_MS = 5_000;
const RETRY_MS = 500;
const RETRY_MS_MAX = 8_000;

/**
 * Keeps an evaluation and its items, which are in the cache, up to date from its stream until it has ended. A tab that nobody sees lets go of it: a browser opens six connections
 * to a server.
 */
export function useEvaluationStream(evaluation: EvaluationTaskObject | undefined): void {
  const cache = useQueryClient();
  const isVisible = useIsVisible();
  const id = evaluation?.id;
  const include = evaluation?.sampling ? 'samples' : 'items';
  const isFollowed = isVisible && evaluation !== undefined && !isTerminal(evaluation.status);
  useEffect(() => {
    if (!isFollowed || id === undefined) return;
    const stop = new AbortController();
    void follow(cache, id, include, stop.signal);
    return () => stop.abort();
  }, [cache, id, include, isFollowed]);
}

async function follow(
  cache: QueryClient,
  id: string,
  include: 'items' | 'samples',
  signal: AbortSignal,
): Promise<void> {
  // Items before those that are being scored are read by pages.
  let had = cache.getQueryData<EvaluationTaskObject>(keys.evaluationTask(id))?.progress.items ?? 0;
  for (let failures = 0; !signal.aborted; failures += 1) {
    await readSse({
      url: evaluationClient.url('streamEvaluation', { params: { id }, query: { include, last_event_id: had } }),
      signal,
      silenceMs: SILENCE_MS,
      onOpen: () => {
        failures = 0;
      },
      onHeard: () => undefined,
      onMessage: ({ id: place, event, data }) => {
        had = Number(place ?? had);
        const message = EvaluationMessage.safeParse({ event, data: JSON.parse(data) });
        if (message.success) take(cache, id, message.data);
      },
    }).catch((error: unknown) => {
      // Why it is refused is in the answer to a plain request.
      if (error instanceof SseRefused) void cache.invalidateQueries({ queryKey: keys.evaluationTask(id), exact: true });
    });
    await new Promise((resolve) => setTimeout(resolve, Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** failures)));
  }
}

function take(cache: QueryClient, id: string, { event, data }: EvaluationMessage): void {
  if (event === 'evaluation') {
    cache.setQueryData(keys.evaluationTask(id), data);
    return;
  }
  const all = cache.getQueryData<Pages>(keys.evaluationItems(id, ''));
  const pages = all && withItems(all, data);
  if (pages) cache.setQueryData(keys.evaluationItems(id, ''), pages);
  else void cache.invalidateQueries({ queryKey: keys.evaluationItems(id, '') });
  for (const verdict of ['right', 'wrong'])
    void cache.invalidateQueries({ queryKey: keys.evaluationItems(id, verdict) });
}
