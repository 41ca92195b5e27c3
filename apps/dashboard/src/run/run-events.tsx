import { explain, type RunObject } from '@moraine/contract';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import type { RunEvents } from '../hooks/use-run.js';
import { client } from '../lib/client.js';
import { dateTime } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';

async function readEvents(id: string, after?: string): Promise<RunEvents> {
  const page = await client.call('listRunEvents', { params: { id }, query: { limit: 100, after } });
  return { events: page.data, hasMore: page.has_more };
}

/** What happened to the run, newest first; new events come in on top. */
export function RunEventList({ run: { id } }: { run: RunObject }) {
  const cache = useQueryClient();
  const [olderError, setOlderError] = useState<unknown>(null);
  const { data, error } = useQuery({
    queryKey: keys.events(id),
    queryFn: () => readEvents(id),
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnMount: 'always',
  });
  if (!data) return error ? <ErrorNotice error={error} what="events" /> : <Loading what="events" />;
  const loadOlder = async (): Promise<void> => {
    try {
      const older = await readEvents(id, data.events.at(-1)?.id);
      cache.setQueryData<RunEvents>(
        keys.events(id),
        (old) => old && { events: [...old.events, ...older.events], hasMore: older.hasMore },
      );
      setOlderError(null);
    } catch (cause) {
      setOlderError(cause);
    }
  };
  if (data.events.length === 0)
    return (
      <Notice title="No events yet">
        <p>The first one is written when the run is created, and appears here by itself.</p>
      </Notice>
    );
  return (
    <>
      <ol className="events" aria-label="Events, newest first">
        {data.events.map((event) => (
          <li key={event.id}>
            <time className="num weak" dateTime={new Date(event.created_at * 1000).toISOString()}>
              {dateTime(event.created_at)}
            </time>
            <span className={event.level === 'error' ? 'tone-bad' : event.level === 'warn' ? 'tone-warn' : ''}>
              {event.level !== 'info' && `${event.level === 'warn' ? 'Warning' : 'Error'}: `}
              {event.message}
            </span>
          </li>
        ))}
      </ol>
      {olderError !== null && <p className="tone-bad">{explain(olderError)}</p>}
      {data.hasMore && (
        <button type="button" onClick={() => void loadOlder()}>
          Load older events
        </button>
      )}
    </>
  );
}
