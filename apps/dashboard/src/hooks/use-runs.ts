import { isTerminal, type RunSummary } from '@moraine/contract';
import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback, useMemo } from 'react';
import { client } from '../lib/client.js';
import { keys } from '../lib/query-keys.js';
import { NEWEST_FIRST, type RunFilter, toQuery } from '../lib/run-filter.js';

const PAGE = 50;
const POLL_MS = 2000;
/** Rows beyond the first page that are kept up to date at once. */
const FOLLOWED_MAX = 100;
/** Pages stay known while one looks at a run, so that Back finds them. */
const KEEP_MS = 10 * 60_000;

export interface Runs {
  /** The rows that match, in the order that was asked for; undefined while nothing is known. */
  rows: RunSummary[] | undefined;
  /** How many match in all; null while that is not known. */
  totalCount: number | null;
  hasMore: boolean;
  isLoadingMore: boolean;
  loadMore(): void;
  /** Runs newer than the first row: shown when asked for, so that no row moves under the pointer. */
  newCount: number;
  showNew(): void;
  error: unknown;
}

const readHead = (filter: RunFilter, signal: AbortSignal) =>
  client.call('searchRuns', { query: { limit: PAGE, count: 'true', ...toQuery(filter) }, signal });

/**
 * The list of runs, a page at a time by cursor. What is on the screen stays where it is; its rows are brought up to date from the first
 * page, and those that go on beyond it are asked for by their ids.
 */
export function useRuns(filter: RunFilter): Runs {
  const cache = useQueryClient();
  const pages = useInfiniteQuery({
    queryKey: keys.runs(filter),
    queryFn: async ({ pageParam, signal }) => {
      if (pageParam !== undefined)
        return client.call('searchRuns', { query: { limit: PAGE, after: pageParam, ...toQuery(filter) }, signal });
      const page = await readHead(filter, signal);
      // The first page is the head too: it need not be read twice.
      cache.setQueryData(keys.runsHead(filter), page);
      return page;
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
    staleTime: Number.POSITIVE_INFINITY,
    // New runs come in on top of the newest; any other order is another by now.
    refetchOnMount: filter.sort === NEWEST_FIRST ? true : 'always',
    gcTime: KEEP_MS,
    refetchInterval: ({ state }) => (state.error ? POLL_MS : false),
    placeholderData: keepPreviousData,
  });
  const head = useQuery({
    queryKey: keys.runsHead(filter),
    queryFn: ({ signal }) => readHead(filter, signal),
    refetchInterval: POLL_MS,
    enabled: pages.isSuccess && !pages.isPlaceholderData,
  });
  const known = useMemo(() => pages.data?.pages.flatMap((page) => page.data), [pages.data]);
  const fresh = useFresh(known, head.data?.data);
  const rows = useMemo(
    () =>
      known
        ?.map((run) => fresh.get(run.id) ?? run)
        .filter((run) => pages.isPlaceholderData || !filter.status || run.status === filter.status),
    [known, fresh, filter.status, pages.isPlaceholderData],
  );

  const newCount = useMemo(
    () => (filter.sort === NEWEST_FIRST && known && head.data ? countNew(known, head.data.data) : 0),
    [filter.sort, known, head.data],
  );
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

  return {
    rows: pages.isError && pages.isPlaceholderData ? undefined : rows,
    totalCount: head.data?.total_count ?? null,
    hasMore: pages.hasNextPage,
    isLoadingMore: pages.isFetchingNextPage,
    loadMore,
    newCount,
    showNew,
    error: pages.isPlaceholderData || !known ? pages.error : null,
  };
}

/** Runs as they are now, by id: the first page, and what still goes on beyond it. */
function useFresh(
  known: readonly RunSummary[] | undefined,
  head: readonly RunSummary[] | undefined,
): ReadonlyMap<string, RunSummary> {
  const unfinished = useMemo(() => {
    const inHead = new Set(head?.map(({ id }) => id));
    const beyond = (known ?? []).filter((run) => !isTerminal(run.status) && !inHead.has(run.id));
    return head ? beyond.slice(0, FOLLOWED_MAX).map(({ id }) => id) : [];
  }, [known, head]);
  const followed = useQuery({
    queryKey: keys.runsOf(unfinished),
    queryFn: ({ signal }) =>
      client.call('searchRuns', { query: { ids: unfinished.join(), limit: FOLLOWED_MAX }, signal }),
    refetchInterval: POLL_MS,
    enabled: unfinished.length > 0,
    placeholderData: keepPreviousData,
  });
  return useMemo(
    () => new Map([...(followed.data?.data ?? []), ...(head ?? [])].map((run) => [run.id, run] as const)),
    [followed.data, head],
  );
}

/** How many runs of the newest page come before the first that is shown. */
function countNew(known: readonly RunSummary[], newest: readonly RunSummary[]): number {
  const first = known[0];
  const at = first ? newest.findIndex((run) => run.id === first.id) : -1;
  return at < 0 ? newest.filter((run) => !known.some((old) => old.id === run.id)).length : at;
}
