import { isTerminal, type LogLine, type RunObject } from '@moraine/contract';
import { useQuery } from '@tanstack/react-query';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef, useState } from 'react';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { useFeedVersion } from '../hooks/use-run.js';
import { client } from '../lib/client.js';
import { clock } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';
import type { RunFeed } from '../stream/run-feed.js';

const PAGE = 10_000;

async function readLogs(id: string, attempt: number, signal: AbortSignal): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for (;;) {
    const page = await client.call('getRunLogs', {
      params: { id },
      query: { attempt, after: lines.at(-1)?.seq ?? 0, limit: PAGE },
      signal,
    });
    lines.push(...page.data);
    if (!page.has_more || page.data.length === 0) return lines;
  }
}

/** The lines of an attempt. Follows the end until one scrolls up, and again from the bottom; the search works while lines come in. */
export function RunLogs({ run, feed }: { run: RunObject; feed: RunFeed | null }) {
  const version = useFeedVersion(feed);
  const newest = run.attempts.at(-1)?.attempt ?? 1;
  const [chosen, setChosen] = useState<number | null>(null);
  const [search, setSearch] = useState('');
  const attempt = chosen ?? newest;
  const { data, error } = useQuery({
    queryKey: keys.logs(run.id, attempt),
    queryFn: ({ signal }) => readLogs(run.id, attempt, signal),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchInterval: (query) => (query.state.error ? 3000 : false),
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for the lines inside the feed
  const lines = useMemo(() => {
    const last = data?.at(-1)?.seq ?? -1;
    return [...(data ?? []), ...(feed?.logs ?? []).filter((line) => line.attempt === attempt && line.seq > last)];
  }, [data, feed, attempt, version]);
  const pattern = useMemo(() => toPattern(search), [search]);
  const shown = useMemo(
    () => (pattern ? lines.filter(({ message, level }) => pattern.test(message) || pattern.test(level)) : lines),
    [lines, pattern],
  );

  if (!data) return error ? <ErrorNotice error={error} what="logs" /> : <Loading what="logs" />;
  return (
    <div className="logs">
      <div className="toolbar">
        <input
          type="search"
          className="grow"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          placeholder="Search, plain or as a regular expression"
          aria-label="Search the logs"
        />
        {run.attempts.length > 1 && (
          <select aria-label="Attempt" value={attempt} onChange={(event) => setChosen(Number(event.target.value))}>
            {run.attempts.map((one) => (
              <option key={one.attempt} value={one.attempt}>
                Attempt {one.attempt}
              </option>
            ))}
          </select>
        )}
        <span className="weak num">{shown.length.toLocaleString('en-US')} lines</span>
      </div>
      {lines.length === 0 ? (
        <Notice title="No log lines">
          <p>
            {isTerminal(run.status)
              ? 'This attempt wrote none.'
              : 'They appear here as soon as a worker has started the run.'}
          </p>
        </Notice>
      ) : (
        <LogList lines={shown} />
      )}
    </div>
  );
}

/** A regular expression where the text is one, else the text itself; null for nothing. */
function toPattern(search: string): RegExp | null {
  if (!search) return null;
  try {
    return new RegExp(search, 'i');
  } catch {
    return new RegExp(search.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'i');
  }
}

const isBad = ({ level }: LogLine): boolean => level === 'error' || level === 'fatal';

function LogList({ lines }: { lines: readonly LogLine[] }) {
  const scroller = useRef<HTMLDivElement>(null);
  const [isFollowing, setFollowing] = useState(true);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 20,
    overscan: 30,
  });
  useEffect(() => {
    if (isFollowing && lines.length > 0) virtual.scrollToIndex(lines.length - 1, { align: 'end' });
  }, [isFollowing, lines.length, virtual]);
  const firstError = lines.findIndex(isBad);
  return (
    <div className="log-box">
      <div
        className="log-lines mono"
        ref={scroller}
        role="log"
        aria-label="Log lines"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard must be able to scroll it
        tabIndex={0}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) =>
          setFollowing(scrollHeight - scrollTop - clientHeight < 24)
        }
      >
        <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {virtual.getVirtualItems().map((item) => {
            const line = lines[item.index];
            return (
              line && (
                <p
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  className="log-line"
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <span className="weak num">{clock(line.at)}</span>{' '}
                  <span className={isBad(line) ? 'tone-bad' : line.level === 'warn' ? 'tone-warn' : 'weak'}>
                    {line.level}
                  </span>{' '}
                  {line.message}
                </p>
              )
            );
          })}
        </div>
      </div>
      <div className="log-buttons">
        {!isFollowing && (
          <button type="button" onClick={() => setFollowing(true)}>
            Follow the end
          </button>
        )}
        {firstError >= 0 && (
          <button
            type="button"
            onClick={() => {
              setFollowing(false);
              virtual.scrollToIndex(firstError, { align: 'center' });
            }}
          >
            Go to the first error
          </button>
        )}
      </div>
    </div>
  );
}
