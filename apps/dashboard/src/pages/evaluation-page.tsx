import { type EvaluationTaskObject, isTerminal } from '@moraine/contract';
import { metricOf } from '@moraine/contract/suites';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Link, useParams } from 'react-router';
import { Copyable, ProgressBar } from '../components/bits.js';
import { ErrorNotice, Loading } from '../components/notice.js';
import { RunStateBadge } from '../components/state.js';
import { EvaluationDifference } from '../evaluation/evaluation-difference.js';
import { EvaluationItems } from '../evaluation/evaluation-items.js';
import { figureValue, intervalText } from '../evaluation/figure-text.js';
import { useEvaluationStream } from '../evaluation/use-evaluation-stream.js';
import { useTitle } from '../hooks/use-title.js';
import { evaluationClient } from '../lib/evaluation-client.js';
import { dateTime, shortest } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';

/** One evaluation: its figures with their intervals, the difference to another of the same items, and every item. */
export function EvaluationPage() {
  const { id = '' } = useParams();
  const { data, error } = useQuery({
    queryKey: keys.evaluationTask(id),
    queryFn: ({ signal }) => evaluationClient.call('getEvaluation', { params: { id }, signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  useEvaluationStream(data);
  useTitle(...(data ? [`${data.suite}, ${data.model}`] : [id]));
  if (!data) return error ? <ErrorNotice error={error} what="evaluation" /> : <Loading what="the evaluation" />;
  return (
    <section className="page" aria-label="Evaluation">
      <Header evaluation={data} />
      <div className="scroll">
        {data.summary && <Figures summary={data.summary} />}
        <Facts evaluation={data} />
        {data.summary && <EvaluationDifference evaluation={data} />}
        <EvaluationItems evaluation={data} />
      </div>
    </section>
  );
}

function Header({ evaluation }: { evaluation: EvaluationTaskObject }) {
  const { status, state, state_reason: reason, error, suite, model, progress } = evaluation;
  const total = progress.total ?? 0;
  const count = `${progress.items.toLocaleString('en-US')} of ${total.toLocaleString('en-US')} items`;
  return (
    <header className="run-header">
      <div className="run-title">
        <RunStateBadge run={{ status, state, verdict: null }} />
        <h1 className="clip" title={suite}>
          {suite}
        </h1>
        <span className="weak clip" title={model}>
          {model}
        </span>
      </div>
      {reason && <p className="weak">{reason.message}</p>}
      {error && <p className="tone-bad">{error.message}</p>}
      {!isTerminal(status) && total > 0 && (
        <p>
          <ProgressBar share={progress.items / total} label={count} /> <span className="num weak">{count}</span>
        </p>
      )}
    </header>
  );
}

function Figures({ summary }: { summary: NonNullable<EvaluationTaskObject['summary']> }) {
  const { metric, metrics, n } = summary;
  const names = Object.keys(metrics).sort((a, b) => Number(b === metric) - Number(a === metric));
  return (
    <section className="block">
      <h2>
        Figures <span className="weak num">{n.toLocaleString('en-US')} items</span>
      </h2>
      <div className="scroll-x">
        <table>
          <thead>
            <tr>
              <th>Figure</th>
              <th className="right">Value</th>
              <th className="right">95 % interval</th>
              <th className="right">Chance</th>
              <th>What it is</th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => {
              const figure = metrics[name];
              if (!figure) return null;
              return (
                <tr key={name}>
                  <td>{name}</td>
                  <td className="right num">{figureValue(name, figure.value)}</td>
                  <td className="right num">{intervalText(name, figure.interval)}</td>
                  <td className={`right num ${figure.at_chance ? 'tone-warn' : 'weak'}`}>
                    {figure.chance === null ? '–' : figureValue(name, figure.chance)}
                    {figure.at_chance && ' · at chance'}
                  </td>
                  <td className="weak">{metricOf(name)?.title}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const drawnText = ({ samples, temperature, top_p, seed }: NonNullable<EvaluationTaskObject['sampling']>): string =>
  `${samples} drawn at temperature ${temperature}, top-p ${top_p}, seed ${seed}`;

/** What the figures are bound to. */
function Facts({ evaluation }: { evaluation: EvaluationTaskObject }) {
  const { id, base, tuned, lambda, file, fewshot, limit, seed, sampling, finished_at, items_sha256 } = evaluation;
  const facts: [string, ReactNode][] = [
    ['Id', <Copyable key="id" text={id} what="the id" />],
    ['Base', base],
    ...(tuned
      ? ([
          ['Tuned', <Tuned key="tuned" tuned={tuned} />],
          ['λ', shortest(lambda)],
        ] as [string, ReactNode][])
      : []),
    ['File', file],
    ['Solved examples', fewshot === null ? '–' : String(fewshot)],
    ['Items', `${limit === null ? 'all' : `${limit}`}${seed === null ? '' : `, drawn by seed ${seed}`}`],
    ...(sampling === null ? [] : ([['Samples', drawnText(sampling)]] as [string, ReactNode][])),
    ['Items, sha256', items_sha256?.slice(0, 16) ?? '–'],
    ['Finished', dateTime(finished_at)],
  ];
  return (
    <section className="block">
      <h2>What was asked</h2>
      <dl className="facts">
        {facts.map(([name, value]) => (
          <Fact key={name} name={name} value={value} />
        ))}
      </dl>
    </section>
  );
}

const Fact = ({ name, value }: { name: string; value: ReactNode }) => (
  <>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </>
);

const Tuned = ({ tuned }: { tuned: NonNullable<EvaluationTaskObject['tuned']> }) => (
  <>
    {tuned.run_id ? <Link to={`/runs/${tuned.run_id}`}>{tuned.run_id}</Link> : 'a registered adapter'}
    {tuned.step !== null && `, step ${tuned.step.toLocaleString('en-US')}`}
    <span className="weak"> · sha256 {tuned.sha256.slice(0, 16)}</span>
  </>
);
