import type { ExperimentSummary } from '@moraine/contract';
import { Link } from 'react-router';
import { Command } from '../components/bits.js';
import { ListPage } from '../components/list-page.js';
import { Notice } from '../components/notice.js';
import { RunStateBadge } from '../components/state.js';
import { experimentClient } from '../lib/experiment-client.js';
import { age, dateTime } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';

/** Comparisons and tunings, newest first. */
export const ExperimentsPage = () => (
  <ListPage
    title="Experiments"
    queryKey={keys.experiments()}
    ask={(after, signal) => experimentClient.call('listExperiments', { query: { limit: 50, after }, signal })}
    columns={COLUMNS}
    row={(one, now) => <Row key={one.id} experiment={one} now={now} />}
    empty={
      <Notice title="No experiments yet">
        <p>An experiment compares methods at their own best rates. One command tries them on rows of yours:</p>
        <Command text="npx moraine tune rows.jsonl" />
        <p>Or ask a question with arms of your own:</p>
        <Command text="npx moraine experiments run configs/experiments/demo.yaml" />
      </Notice>
    }
  />
);

const COLUMNS = [
  { name: 'State' },
  { name: 'Experiment' },
  { name: 'Arms' },
  { name: 'Base' },
  { name: 'Runs ended', isRight: true },
  { name: 'Age', isRight: true },
];

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
