import type { ExperimentSummary } from '@moraine/contract';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { Command } from '../components/bits.js';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { RunStateBadge } from '../components/state.js';
import { useNow } from '../hooks/use-now.js';
import { useTitle } from '../hooks/use-title.js';
import { experimentClient } from '../lib/experiment-client.js';
import { age, dateTime } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';

/** Comparisons and tunings, newest first. */
export function ExperimentsPage() {
  useTitle('Experiments');
  const pages = useInfiniteQuery({
    queryKey: keys.experiments(),
    queryFn: ({ pageParam, signal }) =>
      experimentClient.call('listExperiments', { query: { limit: 50, after: pageParam }, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
    refetchInterval: 3000,
  });
  const now = useNow();
  if (!pages.data)
    return pages.error ? (
      <ErrorNotice error={pages.error} what="list of experiments" />
    ) : (
      <Loading what="experiments" />
    );
  const rows = pages.data.pages.flatMap(({ data }) => data);
  if (rows.length === 0)
    return (
      <Notice title="No experiments yet">
        <p>An experiment compares methods at their own best rates. One command tries them on rows of yours:</p>
        <Command text="npx moraine tune rows.jsonl" />
        <p>Or ask a question with arms of your own:</p>
        <Command text="npx moraine experiments run configs/experiments/demo.yaml" />
      </Notice>
    );
  return (
    <section className="page" aria-label="Experiments">
      <div className="toolbar">
        <h1>Experiments</h1>
      </div>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th>State</th>
              <th>Experiment</th>
              <th>Arms</th>
              <th>Base</th>
              <th className="right">Runs ended</th>
              <th className="right">Age</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={row.id} experiment={row} now={now} />
            ))}
          </tbody>
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

function Row({ experiment, now }: { experiment: ExperimentSummary; now: number }) {
  const { id, name, model, arms, runs, status, reason, created_at } = experiment;
  return (
    <tr title={reason ?? ''}>
      <td>
        <RunStateBadge run={{ status, state: null, verdict: null }} />
      </td>
      <td className="clip-cell" title={name}>
        <Link to={`/experiments/${id}`}>{name}</Link>
      </td>
      <td className="clip-cell" title={arms.join(', ')}>
        {arms.join(', ')}
      </td>
      <td className="clip-cell" title={model}>
        {model}
      </td>
      <td className="right num">
        {runs.ended} <span className="weak">of {runs.made}</span>
      </td>
      <td className="right num weak" title={dateTime(created_at)}>
        {age(created_at, now)}
      </td>
    </tr>
  );
}
