import type { EvaluationTaskObject } from '@moraine/contract';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { Command } from '../components/bits.js';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { RunStateBadge } from '../components/state.js';
import { figureValue, intervalText } from '../evaluation/figure-text.js';
import { useNow } from '../hooks/use-now.js';
import { useTitle } from '../hooks/use-title.js';
import { evaluationClient } from '../lib/evaluation-client.js';
import { age, dateTime, shortest } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';

/** What models gave on suites: the figure that each suite is known by, newest first. */
export function EvaluationsPage() {
  useTitle('Evaluations');
  const pages = useInfiniteQuery({
    queryKey: keys.evaluationTasks(),
    queryFn: ({ pageParam, signal }) =>
      evaluationClient.call('listEvaluationTasks', { query: { limit: 50, after: pageParam }, signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => (page.has_more ? (page.last_id ?? undefined) : undefined),
    refetchInterval: 3000,
  });
  const now = useNow();
  if (!pages.data)
    return pages.error ? (
      <ErrorNotice error={pages.error} what="list of evaluations" />
    ) : (
      <Loading what="evaluations" />
    );
  const rows = pages.data.pages.flatMap(({ data }) => data);
  if (rows.length === 0)
    return (
      <Notice title="Nothing has been evaluated">
        <p>An evaluation asks a base, an adapter or a checkpoint the items of a suite, or rows of your own:</p>
        <Command text="npx moraine eval --model moraine-tiny --suite file --file examples/tasks/record-heldout.jsonl" />
      </Notice>
    );
  return (
    <section className="page" aria-label="Evaluations">
      <div className="toolbar">
        <h1>Evaluations</h1>
      </div>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th>State</th>
              <th>Evaluation</th>
              <th>Model</th>
              <th className="right">λ</th>
              <th className="right">Figure</th>
              <th className="right">95 %</th>
              <th className="right">Items</th>
              <th className="right">Age</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={row.id} evaluation={row} now={now} />
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

function Row({ evaluation, now }: { evaluation: EvaluationTaskObject; now: number }) {
  const { id, suite, model, lambda, summary, progress, status, state, created_at } = evaluation;
  const figure = summary?.metrics[summary.metric];
  return (
    <tr>
      <td>
        <RunStateBadge run={{ status, state, verdict: null }} />
      </td>
      <td>
        <Link to={`/evaluations/${id}`} title={id}>
          {suite}
        </Link>
      </td>
      <td className="clip-cell" title={model}>
        {model}
      </td>
      <td className="right num">{shortest(lambda)}</td>
      <td className="right num">
        {summary && figure ? (
          <>
            {figureValue(summary.metric, figure.value)} <span className="weak">{summary.metric}</span>
          </>
        ) : (
          '–'
        )}
      </td>
      <td className={`right num ${figure?.at_chance ? 'tone-warn' : 'weak'}`}>
        {summary && figure
          ? `${intervalText(summary.metric, figure.interval)}${figure.at_chance ? ', at chance' : ''}`
          : '–'}
      </td>
      <td className="right num">
        {progress.items.toLocaleString('en-US')}
        {progress.total !== null && progress.total !== progress.items && (
          <span className="weak"> of {progress.total.toLocaleString('en-US')}</span>
        )}
      </td>
      <td className="right num weak" title={dateTime(created_at)}>
        {age(created_at, now)}
      </td>
    </tr>
  );
}
