import { type RunObject, RunOrder, RunStatus } from '@moraine/contract';

/** What the Runs page is asked for; the server answers it over all runs. It lives in the URL: `?status=failed&q=method:mora demo&sort=loss`. */
export interface RunFilter {
  status: RunStatus | null;
  /** What was typed. */
  text: string;
  sort: RunOrder;
}

export const NEWEST_FIRST: RunOrder = '-created';

export function readFilter(params: URLSearchParams): RunFilter {
  const status = RunStatus.safeParse(params.get('status'));
  const sort = RunOrder.safeParse(params.get('sort'));
  return {
    status: status.success ? status.data : null,
    text: params.get('q') ?? '',
    sort: sort.success ? sort.data : NEWEST_FIRST,
  };
}

/** The query of `GET /v1/runs` for a filter. */
export const toQuery = ({ status, text, sort }: RunFilter) => ({
  ...(status && { status }),
  ...(text.trim() && { q: text.trim() }),
  sort,
});

/** What a person calls a run: its suffix, else the name in its metadata, else its id. */
export const runName = (run: Pick<RunObject, 'suffix' | 'metadata' | 'id'>): string =>
  run.suffix ?? (run.metadata.name || run.id);
