import type { EvaluationObject, RunObject } from '@moraine/contract';
import { Link } from 'react-router';
import { Copyable } from '../components/bits.js';
import { age, clock, dateTime, duration, percent, si } from '../lib/format.js';
import { runName } from '../lib/run-filter.js';
import { groupModules } from './modules.js';
import { RunDownloads } from './run-downloads.js';
import { RunResults } from './run-results.js';

/** The run on one page: what went wrong if something did, what it learned, where it ran, which weights it trains. */
export function RunOverview({ run, evaluations }: { run: RunObject; evaluations: readonly EvaluationObject[] }) {
  return (
    <div className="columns">
      <div>
        {run.error && <Failure run={run} />}
        <RunResults run={run} evaluations={evaluations} />
        <RunDownloads run={run} />
        <Attempts run={run} />
      </div>
      <div>
        <Facts run={run} />
        <Modules run={run} />
      </div>
    </div>
  );
}

const ADVICE: Record<string, string> = {
  oom: 'Halve batch_size or raise accumulation, or shorten max_seq_len, and create the run again.',
  out_of_memory: 'Halve batch_size or raise accumulation, or shorten max_seq_len, and create the run again.',
  nan: 'Lower the learning rate or lengthen the warm-up; the gradient norm before the end shows how it came.',
  nan_loss: 'Lower the learning rate or lengthen the warm-up; the gradient norm before the end shows how it came.',
  loss_diverged:
    'Lower the learning rate or lengthen the warm-up; the loss and the gradient norm before the end show how it came.',
  user_data: 'Fix the line that the message names, upload the file again, and create the run again.',
  invalid_file: 'Fix the line that the message names, upload the file again, and create the run again.',
  lost_worker: 'Look at the workers: none could hold on to the run. Then create it again.',
};

function Failure({ run }: { run: RunObject }) {
  if (!run.error) return null;
  return (
    <section className="block failure" role="alert">
      <h2 className="tone-bad">Why it failed</h2>
      <p>{run.error.message}</p>
      <p className="weak">
        {ADVICE[run.error.code] ?? 'The logs of the last attempt have the cause.'}{' '}
        <Link to={`/runs/${run.id}/logs`}>Logs</Link>
      </p>
      <p className="label">
        Code <code>{run.error.code}</code>
        {run.error.param && (
          <>
            {' '}
            at <code>{run.error.param}</code>
          </>
        )}
      </p>
    </section>
  );
}

function Attempts({ run }: { run: RunObject }) {
  return (
    <section className="block">
      <h2>Attempts</h2>
      {run.attempts.length === 0 ? (
        <p className="weak">{run.state_reason?.message ?? 'No worker has taken the run.'}</p>
      ) : (
        <div className="scroll-x">
          <table>
            <thead>
              <tr>
                <th className="right">No.</th>
                <th>Status</th>
                <th>Worker</th>
                <th>Started</th>
                <th className="right">Took</th>
                <th className="right">From step</th>
              </tr>
            </thead>
            {[...run.attempts].reverse().map((attempt) => (
              <tbody key={attempt.attempt}>
                <tr>
                  <td className="right num">{attempt.attempt}</td>
                  <td className={attempt.status === 'failed' || attempt.status === 'lost' ? 'tone-bad' : ''}>
                    {attempt.status}
                    {attempt.cause && <span className="weak"> · {attempt.cause}</span>}
                  </td>
                  <td className="clip-cell mono" title={attempt.worker_id ?? ''}>
                    {attempt.worker_id ?? '–'}
                  </td>
                  <td className="num" title={dateTime(attempt.started_at)}>
                    {clock(attempt.started_at)}
                  </td>
                  <td className="right num">
                    {attempt.finished_at === null ? '–' : duration(attempt.finished_at - attempt.started_at)}
                  </td>
                  <td className="right num">{attempt.start_step.toLocaleString('en-US')}</td>
                </tr>
                {attempt.message && (
                  <tr className="reason">
                    <td />
                    <td colSpan={5} className="weak">
                      {attempt.message}
                    </td>
                  </tr>
                )}
              </tbody>
            ))}
          </table>
        </div>
      )}
    </section>
  );
}

/** The adapter that a run starts from, with the way to its run where it has one here. */
const Start = ({ model, run_id }: NonNullable<RunObject['config']['start']>) =>
  run_id === undefined ? model : <Link to={`/runs/${run_id}`}>{model}</Link>;

function Facts({ run }: { run: RunObject }) {
  const params = si(run.config.trainable_parameters);
  return (
    <section className="block">
      <h2>The run</h2>
      <dl className="facts">
        <dt>Name</dt>
        <dd>{runName(run)}</dd>
        <dt>Id</dt>
        <dd>
          <Copyable text={run.id} what="the id of the run" />
        </dd>
        <dt>Base</dt>
        <dd>{run.config.base}</dd>
        {run.config.start && (
          <>
            <dt>Starts from</dt>
            <dd>
              <Start {...run.config.start} />
            </dd>
          </>
        )}
        <dt>Trained model</dt>
        <dd>
          {run.fine_tuned_model ? (
            <Copyable text={run.fine_tuned_model} what="the name of the model" />
          ) : (
            <span className="weak">named when it succeeds</span>
          )}
          {run.result_step !== null && run.result_step !== run.progress.step && (
            <span className="weak"> of step {run.result_step.toLocaleString('en-US')}, the best</span>
          )}
        </dd>
        {run.resume_check && (
          <>
            <dt>Resume</dt>
            <dd className={run.resume_check.status === 'different' ? 'tone-bad' : ''}>
              {run.resume_check.status} <span className="weak">{run.resume_check.message}</span>
            </dd>
          </>
        )}
        <dt>Training file</dt>
        <dd>
          <Copyable text={run.training_file} what="the id of the training file" />
        </dd>
        {run.config.data_mix?.map((file, i) => (
          <MixFact key={file.file_id} run={run} index={i} />
        ))}
        {run.validation_file && (
          <>
            <dt>Validation file</dt>
            <dd>
              <Copyable text={run.validation_file} what="the id of the validation file" />
            </dd>
          </>
        )}
        <dt>Trained parameters</dt>
        <dd className="num">
          {params.value} <span className="unit">{params.unit}</span>{' '}
          <span className="weak">({run.config.trainable_parameters.toLocaleString('en-US')})</span>
        </dd>
        <dt>Seed</dt>
        <dd className="num">{run.seed}</dd>
        <dt>Pool, priority</dt>
        <dd className="num">
          {run.pool}, {run.priority}
        </dd>
        <dt>Created</dt>
        <dd className="num">
          {dateTime(run.created_at)} <span className="weak">{age(run.created_at, Date.now() / 1000)} ago</span>
        </dd>
        {Object.entries(run.metadata).map(([key, value]) => (
          <MetadataRow key={key} name={key} value={value} />
        ))}
      </dl>
    </section>
  );
}

/** A file of a mix: its id, unless it is the training file, and its part of the rows. */
function MixFact({ run, index }: { run: RunObject; index: number }) {
  const mix = run.config.data_mix ?? [];
  const file = mix[index];
  if (!file) return null;
  const all = mix.reduce((sum, { weight }) => sum + weight, 0);
  return (
    <>
      <dt>{index === 0 ? 'Its share' : 'Mixed in'}</dt>
      <dd>
        {index > 0 && <Copyable text={file.file_id} what="the id of the file" />}{' '}
        <span className="weak">
          {file.role}, {percent(file.weight / all)} of the rows
        </span>
      </dd>
    </>
  );
}

const MetadataRow = ({ name, value }: { name: string; value: string }) => (
  <>
    <dt className="clip" title={name}>
      {name}
    </dt>
    <dd>
      <Link to={`/runs?q=${encodeURIComponent(`${name}=${value}`)}`}>{value}</Link>
    </dd>
  </>
);

function Modules({ run }: { run: RunObject }) {
  const { adapter } = run.config;
  return (
    <section className="block">
      <h2>Trained weights</h2>
      {!('target_modules' in adapter) ? (
        <p className="weak">All of them: full fine-tuning has no adapter.</p>
      ) : (
        <div className="scroll-x">
          <table>
            <thead>
              <tr>
                <th>Module</th>
                <th>Layers</th>
                <th className="right">Adapters</th>
              </tr>
            </thead>
            <tbody>
              {groupModules(adapter.target_modules).map(({ name, layers, count }) => (
                <tr key={name}>
                  <td className="mono">{name}</td>
                  <td className="num">{layers || <span className="weak">–</span>}</td>
                  <td className="right num">{count}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
