import { type QueryKey, useInfiniteQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useNow } from '../hooks/use-now.js';
import { useTitle } from '../hooks/use-title.js';
import { ErrorNotice, Loading } from './notice.js';

/** A page of a list that the API gives. */
interface Listed<Row> {
  data: Row[];
  has_more: boolean;
  last_id?: string | null;
}

interface Column {
  name: string;
  isRight?: boolean;
}

interface ListPageProps<Row> {
  /** With a capital letter, in the plural. */
  title: string;
  queryKey: QueryKey;
  ask: (after: string | undefined, signal: AbortSignal) => Promise<Listed<Row>>;
  columns: readonly Column[];
  /** One table row. */
  row: (row: Row, now: number) => ReactNode;
  /** In place of the table while there is nothing. */
  empty: ReactNode;
}

/** A table of things, newest first, asked anew every few seconds, with older ones on demand. */
export function ListPage<Row>({ title, queryKey, ask, columns, row, empty }: ListPageProps<Row>) {
  useTitle(title);
  const pages = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => ask(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
    refetchInterval: 3000,
  });
  const now = useNow();
  const what = title.toLowerCase();
  if (!pages.data)
    return pages.error ? <ErrorNotice error={pages.error} what={`list of ${what}`} /> : <Loading what={what} />;
  const rows = pages.data.pages.flatMap(({ data }) => data);
  if (rows.length === 0) return empty;
  return (
    <section className="page" aria-label={title}>
      <div className="toolbar">
        <h1>{title}</h1>
      </div>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              {columns.map(({ name, isRight }) => (
                <th key={name} className={isRight ? 'right' : ''}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>{rows.map((one) => row(one, now))}</tbody>
        </table>
        {pages.hasNextPage && (
          <p className="table-foot">
            <button type="button" disabled={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
              Show older ones
            </button>
          </p>
        )}
      </div>
    </section>
  );
}
