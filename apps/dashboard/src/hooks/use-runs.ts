import { isTerminal, type RunObject } from '@moraine/contract';
import { keepPreviousData, useInfiniteQuery, useQueries, useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useMemo } from 'react';
import { client } from '../lib/client.js';
import { keys } from '../lib/query-keys.js';
import { matches, type RunFilter, toQuery } from '../lib/run-filter.js';

const PAGE = 50;
const POLL_MS = 2000;
/** A text filter looks through so many rows by itself before it asks. */
const SEARCHED_ROWS_MAX = 2000;

export interface Runs {
  /** The rows that match, newest first; undefined while nothing is known. */
  rows: RunObject[] | undefined;
  loadedCount: number;
  hasMore: boolean;
  isLoadingMore: boolean;
  loadMore(): void;
  /** Runs newer than the first row: shown when asked for, so that no row moves under the pointer. */
  newCount: number;
  showNew(): void;
  error: unknown;
}

/**
 * The list of runs, a page at a time by cursor. What is on the screen stays where it is; its rows are brought up to date from the newest
 * page and from the running runs, and a run that left both is asked for by its id.
 */
export function useRuns(filter: RunFilter): Runs {
  const cache = useQueryClient();
  const pages = useInfiniteQuery({
    queryKey: keys.runs(filter),
    queryFn: ({ pageParam, signal }) =>
      client.call('listRuns', { query: { limit: PAGE, after: pageParam, ...toQuery(filter) }, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchInterval: ({ state }) => (state.error ? POLL_MS : false),
    placeholderData: keepPreviousData,
  });
  const head = useQuery({
    queryKey: keys.runsHead(filter),
    queryFn: ({ signal }) => client.call('listRuns', { query: { limit: PAGE, ...toQuery(filter) }, signal }),
    refetchInterval: POLL_MS,
    enabled: pages.isSuccess,
  });
  const running = useQuery({
    queryKey: keys.runsRunning(),
    queryFn: ({ signal }) => client.call('listRuns', { query: { limit: 100, status: 'running' }, signal }),
    refetchInterval: POLL_MS,
    enabled: pages.isSuccess,
  });

  const known = useMemo(() => pages.data?.pages.flatMap((page) => page.data), [pages.data]);
  const fresh = useMemo(() => {
    const byId = new Map<string, RunObject>();
    for (const run of [...(running.data?.data ?? []), ...(head.data?.data ?? [])]) byId.set(run.id, run);
    return byId;
  }, [running.data, head.data]);
  const strays = useMemo(
    () =>
      head.data && running.data
        ? (known ?? []).filter((run) => !isTerminal(run.status) && !fresh.has(run.id)).slice(0, 10)
        : [],
    [known, fresh, head.data, running.data],
  );
  const strayRuns = useQueries({
    queries: strays.map((run) => ({
      queryKey: keys.run(run.id),
      queryFn: () => client.call('getRun', { params: { id: run.id } }),
      refetchInterval: POLL_MS * 2,
    })),
    combine: (results) => results.map((result) => result.data),
  });

  const rows = useMemo(() => {
    const polled = new Map(strayRuns.flatMap((run) => (run ? [[run.id, run] as const] : [])));
    return known
      ?.map((run) => fresh.get(run.id) ?? polled.get(run.id) ?? run)
      .filter((run) => (!filter.status || run.status === filter.status) && matches(run, filter.terms));
  }, [known, fresh, strayRuns, filter]);

  const newCount = useMemo(() => {
    const first = known?.[0];
    if (!known || !head.data) return 0;
    const at = first ? head.data.data.findIndex((run) => run.id === first.id) : -1;
    return at < 0 ? head.data.data.filter((run) => !known.some((old) => old.id === run.id)).length : at;
  }, [known, head.data]);

  const showNew = useCallback(() => {
    const newest = head.data?.data ?? [];
    cache.setQueryData<typeof pages.data>(keys.runs(filter), (old) => {
      const first = old?.pages[0];
      if (!old || !first) return old;
      const seen = new Set(old.pages.flatMap((page) => page.data.map((run) => run.id)));
      const added = newest.filter((run) => !seen.has(run.id));
      // More than a page is new: what is between them is not known, so the list starts over.
      if (seen.size > 0 && added.length === PAGE) return { pages: [head.data ?? first], pageParams: [undefined] };
      return { ...old, pages: [{ ...first, data: [...added, ...first.data] }, ...old.pages.slice(1)] };
    });
  }, [cache, filter, head.data]);

  const loadMore = useCallback(() => {
    if (pages.hasNextPage && !pages.isFetching) void pages.fetchNextPage();
  }, [pages.hasNextPage, pages.isFetching, pages.fetchNextPage]);

  const loadedCount = known?.length ?? 0;
  return {
    rows: pages.isPlaceholderData && pages.isError ? undefined : rows,
    loadedCount,
    hasMore: pages.hasNextPage && (filter.terms.length === 0 || loadedCount < SEARCHED_ROWS_MAX),
    isLoadingMore: pages.isFetchingNextPage,
    loadMore,
    newCount,
    showNew,
    error: known ? null : pages.error,
  };
}
