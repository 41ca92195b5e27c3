import type { EvaluationTaskObject } from '@moraine/contract';
import { Link } from 'react-router';
import { Command } from '../components/bits.js';
import { ListPage } from '../components/list-page.js';
import { Notice } from '../components/notice.js';
import { RunStateBadge } from '../components/state.js';
import { figureValue, intervalText } from '../evaluation/figure-text.js';
import { evaluationClient } from '../lib/evaluation-client.js';
import { age, dateTime, shortest } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';

/** What models gave on suites: the figure that each suite is known by, newest first. */
export const EvaluationsPage = () => (
  <ListPage
    title="Evaluations"
    queryKey={keys.evaluationTasks()}
    ask={(after, signal) => evaluationClient.call('listEvaluationTasks', { query: { limit: 50, after }, signal })}
    columns={COLUMNS}
    row={(one, now) => <Row key={one.id} evaluation={one} now={now} />}
    empty={
      <Notice title="Nothing has been evaluated">
        <p>An evaluation asks a base, an adapter or a checkpoint the items of a suite, or rows of your own:</p>
        <Command text="npx moraine eval --model moraine-tiny --suite file --file examples/tasks/record-heldout.jsonl" />
      </Notice>
    }
  />
);

const COLUMNS = [
  { name: 'State' },
  { name: 'Evaluation' },
  { name: 'Model' },
  { name: 'λ', isRight: true },
  { name: 'Figure', isRight: true },
  { name: '95 %', isRight: true },
  { name: 'Items', isRight: true },
  { name: 'Age', isRight: true },
];

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
