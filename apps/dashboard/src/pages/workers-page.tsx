import type { WorkerObject } from '@moraine/contract';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { Amount, Command } from '../components/bits.js';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { WorkerStateBadge } from '../components/state.js';
import { useNow } from '../hooks/use-now.js';
import { useTitle } from '../hooks/use-title.js';
import { client } from '../lib/client.js';
import { age, bytes, dateTime } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';

/** Who can train: each worker with its device, its heart and what it does; and when it cannot, why and what to do. */
export function WorkersPage() {
  useTitle('Workers');
  const { data, error, dataUpdatedAt } = useQuery({
    queryKey: keys.workers(),
    queryFn: ({ signal }) => client.call('listWorkers', { signal }),
    refetchInterval: 2000,
  });
  const now = useNow();
  if (!data && error) return <ErrorNotice error={error} what="list of workers" />;
  if (!data) return <Loading what="workers" />;
  if (data.data.length === 0)
    return (
      <Notice title="No worker has registered">
        <p>Runs wait in the queue until one does. This starts the stack with one worker:</p>
        <Command text="npm start" />
        <p className="weak">A worker appears here within seconds of its start.</p>
      </Notice>
    );
  const workers = [...data.data].sort((a, b) => Number(isAway(a)) - Number(isAway(b)) || a.name.localeCompare(b.name));
  return (
    <section className="page" aria-label="Workers">
      <div className="toolbar">
        <h1>Workers</h1>
        <span className="weak num">{summary(workers)}</span>
      </div>
      <div className="scroll">
        <table className="workers">
          <thead>
            <tr>
              <th>State</th>
              <th>Worker</th>
              <th>Run</th>
              <th>Device</th>
              <th className="right">Cores</th>
              <th className="right">Memory</th>
              <th>Pool</th>
              <th className="right">Heartbeat</th>
              <th className="right">Up</th>
            </tr>
          </thead>
          {workers.map((worker) => (
            <WorkerRows key={worker.id} worker={worker} now={now} readAgo={Math.max(0, now - dataUpdatedAt / 1000)} />
          ))}
        </table>
      </div>
    </section>
  );
}

const isAway = (worker: WorkerObject): boolean => worker.status === 'gone' || worker.status === 'lost';

function summary(workers: readonly WorkerObject[]): string {
  const count = (statuses: readonly string[]): number =>
    workers.filter(({ status }) => statuses.includes(status)).length;
  const parts = [
    `${count(['busy'])} busy`,
    `${count(['ready'])} ready`,
    ...(count(['unhealthy']) > 0 ? [`${count(['unhealthy'])} unhealthy`] : []),
    ...(count(['lost', 'gone']) > 0 ? [`${count(['lost', 'gone'])} away`] : []),
  ];
  return parts.join(' · ');
}

function WorkerRows({ worker, now, readAgo }: { worker: WorkerObject; now: number; readAgo: number }) {
  const { device } = worker;
  return (
    <tbody className={isAway(worker) ? 'away' : ''}>
      <tr>
        <td>
          <WorkerStateBadge status={worker.status} />
        </td>
        <td className="clip-cell" title={`${worker.id}, version ${worker.version}`}>
          {worker.name} <span className="weak">{worker.host}</span>{' '}
          <span className="weak num wide">pid {worker.pid}</span>
        </td>
        <td className="clip-cell">
          {worker.run_id ? (
            <Link to={`/runs/${worker.run_id}`} className="mono" title={worker.run_id}>
              {worker.run_id}
            </Link>
          ) : (
            <span className="weak">{worker.task_id ?? '–'}</span>
          )}
        </td>
        <td className="clip-cell" title={device.tensorflow ? `TensorFlow ${device.tensorflow}` : 'No TensorFlow'}>
          {device.kind === 'none' ? (
            <span className="tone-bad">no runtime</span>
          ) : (
            <>
              {device.kind === 'gpu' ? 'GPU' : 'CPU'} <span className="weak">{device.name}</span>{' '}
              {device.bfloat16 !== null && <span className="weak">bfloat16</span>}{' '}
              <span className="weak num">{device.tensorflow && `· TF ${device.tensorflow}`}</span>
            </>
          )}
        </td>
        <td className="right num" data-label="cores">
          {worker.cores}
        </td>
        <td className="right" data-label="memory">
          <Amount {...bytes(worker.memory_bytes)} />
        </td>
        <td className="clip-cell" data-label="pool">
          {worker.pool}
        </td>
        <td
          data-label="heartbeat"
          className={`right num ${worker.heartbeat_age_s + readAgo > 15 && !isAway(worker) ? 'tone-warn' : ''}`}
          title={dateTime(worker.heartbeat_at)}
        >
          {age(0, worker.heartbeat_age_s + readAgo)}
        </td>
        <td className="right num weak" title={dateTime(worker.started_at)} data-label="up">
          {age(worker.started_at, now)}
        </td>
      </tr>
      {worker.status_reason && (
        <tr className="reason">
          <td />
          <td colSpan={8} className={worker.status === 'unhealthy' ? 'tone-bad' : 'weak'}>
            {worker.status_reason}
          </td>
        </tr>
      )}
    </tbody>
  );
}
