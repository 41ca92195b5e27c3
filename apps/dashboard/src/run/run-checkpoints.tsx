import { type CheckpointObject, isTerminal, type RunObject } from '@moraine/contract';
import { Link } from 'react-router';
import { Amount, Copyable } from '../components/bits.js';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { bytes, dateTime, digits } from '../lib/format.js';
import { playgroundPath } from '../playground/columns.js';

/** What a lost run would go on from. */
export function RunCheckpoints({
  run,
  query,
}: {
  run: RunObject;
  query: { data?: CheckpointObject[]; error: unknown };
}) {
  if (!query.data)
    return query.error ? <ErrorNotice error={query.error} what="checkpoints" /> : <Loading what="checkpoints" />;
  const { every_steps, every_seconds, keep_last, keep_best } = run.config.checkpoint;
  const kept = `the last ${keep_last}${keep_best ? ` and the best${keep_best === true ? '' : ` ${keep_best}`}` : ''}`;
  const rhythm =
    every_steps > 0
      ? `every ${every_steps.toLocaleString('en-US')} steps`
      : every_seconds > 0
        ? `every ${every_seconds} s`
        : 'only at its end';
  if (query.data.length === 0)
    return (
      <Notice title="No checkpoint yet">
        <p>
          {isTerminal(run.status)
            ? 'The run ended before it saved one.'
            : `The run saves one ${rhythm} and keeps ${kept}. If its worker is lost, the next attempt goes on from there.`}
        </p>
      </Notice>
    );
  return (
    <section className="block">
      <p className="weak">
        Saved {rhythm}; {kept} are kept.
      </p>
      <div className="scroll-x">
        <table>
          <thead>
            <tr>
              <th className="right">Step</th>
              <th className="right">Train loss</th>
              <th className="right">Valid loss</th>
              <th className="right">Size</th>
              <th>Saved</th>
              <th>Model</th>
              <th>SHA-256</th>
              <th>
                <span className="visually-hidden">Ask</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {query.data.map((checkpoint) => (
              <tr key={checkpoint.id}>
                <td className="right num">
                  {checkpoint.is_best && <strong>best </strong>}
                  {checkpoint.step_number.toLocaleString('en-US')}
                </td>
                <td className="right num">{digits(checkpoint.metrics.train_loss, 4)}</td>
                <td className="right num">
                  {digits(checkpoint.metrics.full_valid_loss ?? checkpoint.metrics.valid_loss, 4)}
                </td>
                <td className="right">
                  <Amount {...bytes(checkpoint.bytes)} />
                </td>
                <td className="num">{dateTime(checkpoint.created_at)}</td>
                <td>
                  <Copyable text={checkpoint.fine_tuned_model_checkpoint} what="the name of the checkpoint" />
                </td>
                <td>
                  <Copyable text={checkpoint.sha256} shown={checkpoint.sha256.slice(0, 12)} what="the hash" />
                </td>
                <td>
                  <Link to={playgroundPath(run.model, checkpoint.fine_tuned_model_checkpoint)}>Ask it</Link>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
