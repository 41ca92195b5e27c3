import { AppError, type EventObject, isTerminal, type RunObject } from '@moraine/contract';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { client } from '../lib/client.js';
import { keys } from '../lib/query-keys.js';
import { RunFeed } from '../stream/run-feed.js';

/** The run itself: read at once, patched by the stream, and read again every two seconds while it goes on. */
export function useRun(id: string) {
  return useQuery({
    queryKey: keys.run(id),
    queryFn: ({ signal }) => client.call('getRun', { params: { id }, signal }),
    // Signed out or offline: asked again until it works. What is not there stays away.
    refetchInterval: ({ state }) =>
      (state.data && isTerminal(state.data.status)) ||
      (state.error instanceof AppError && state.error.code === 'not_found')
        ? false
        : 2000,
  });
}

/** The events of a run that are loaded, newest first. */
export interface RunEvents {
  events: EventObject[];
  hasMore: boolean;
}

export interface Feed {
  feed: RunFeed | null;
  error: unknown;
}

/** Opens the run's stream for as long as the page shows it and writes what it says into the cache. */
export function useRunFeed(run: RunObject | undefined): Feed {
  const id = run?.id;
  const hasEnded = run ? isTerminal(run.status) : false;
  const cache = useQueryClient();
  const [state, setState] = useState<Feed>({ feed: null, error: null });

  useEffect(() => {
    if (!id) return;
    const feed = new RunFeed({
      runId: id,
      onStatus: (patch) => {
        cache.setQueryData<RunObject>(keys.run(id), (old) => old && { ...old, ...patch });
        void cache.invalidateQueries({ queryKey: keys.run(id), exact: true });
      },
      onEvent: (event) => {
        cache.setQueryData<RunEvents>(keys.events(id), (old) =>
          old && !old.events.some((known) => known.id === event.id) ? { ...old, events: [event, ...old.events] } : old,
        );
        // Checkpoints, evaluations and attempts announce themselves by an event.
        void cache.invalidateQueries({ queryKey: keys.checkpoints(id) });
        void cache.invalidateQueries({ queryKey: keys.evaluations(id) });
      },
      onError: (error) => setState((old) => (old.error === error ? old : { ...old, error })),
    });
    setState({ feed, error: null });
    feed.start();
    return () => feed.close();
  }, [id, cache]);

  useEffect(() => {
    if (hasEnded) state.feed?.end();
  }, [hasEnded, state.feed]);

  return state;
}

const noFeed = (): (() => void) => () => {};

/** Renders again whenever the feed has drawn; the number itself serves as a memo key. */
export const useFeedVersion = (feed: RunFeed | null): number =>
  useSyncExternalStore(feed ? feed.subscribe : noFeed, feed ? feed.getVersion : () => 0);
