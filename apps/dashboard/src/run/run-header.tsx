import { explain, isTerminal, methodRow, type RunObject } from '@moraine/contract';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { Link } from 'react-router';
import { Amount, Copyable, MethodChip, ProgressBar } from '../components/bits.js';
import { RunStateBadge } from '../components/state.js';
import { useEscape } from '../hooks/use-hotkeys.js';
import { useNow } from '../hooks/use-now.js';
import { useFeedVersion } from '../hooks/use-run.js';
import { client } from '../lib/client.js';
import { age, dateTime, digits, duration, durationRange, si } from '../lib/format.js';
import { keys } from '../lib/query-keys.js';
import { runName } from '../lib/run-filter.js';
import { playgroundPath } from '../playground/columns.js';
import type { RunFeed } from '../stream/run-feed.js';

/** What the run does now: state with its reason, progress in steps and tokens, time left, and the buttons that are legal now. */
export function RunHeader({ run, feed }: { run: RunObject; feed: RunFeed | null }) {
  const method = methodRow(run.config.adapter);
  return (
    <header className="run-header">
      <div className="run-title">
        <RunStateBadge run={run} />
        <h1 className="clip" title={runName(run)}>
          {runName(run)}
        </h1>
        <MethodChip name={method.name} kind={method.kind(run.config.adapter)} color={method.color} />
        <span className="weak clip wide" title={run.model}>
          on {run.model}
        </span>
        <span className="spacer" />
        <PauseButton run={run} />
        <CancelButton run={run} />
        {run.fine_tuned_model !== null && (
          <Link className="button" to={playgroundPath(run.model, run.fine_tuned_model)}>
            Ask it
          </Link>
        )}
        <DownloadMenu run={run} />
      </div>
      <StateLine run={run} />
      <ProgressLine run={run} feed={feed} />
    </header>
  );
}

/** Since when the run is what it is, and why. */
function StateLine({ run }: { run: RunObject }) {
  const now = useNow();
  const attempt = run.attempts.at(-1);
  const since =
    run.state_reason?.since ?? run.finished_at ?? (run.status === 'running' ? run.started_at : null) ?? run.created_at;
  return (
    <p className="state-line weak">
      <span className="num" title={dateTime(since)}>
        {isTerminal(run.status) ? dateTime(since) : `for ${duration(now - since)}`}
      </span>
      {run.state_reason && <span> · {run.state_reason.message}</span>}
      {run.verdict && <span className="tone-bad"> · {run.verdict.message}</span>}
      {run.error && <span className="tone-bad"> · {run.error.message}</span>}
      {attempt && attempt.attempt > 1 && (
        <span>
          {' '}
          · attempt {attempt.attempt}, from step {attempt.start_step.toLocaleString('en-US')}
        </span>
      )}
      <span className="wide">
        {' · '}
        <Copyable text={run.id} what="the id of the run" />
      </span>
    </p>
  );
}

function ProgressLine({ run, feed }: { run: RunObject; feed: RunFeed | null }) {
  useFeedVersion(feed);
  const now = useNow();
  const { progress } = run;
  const store = feed?.isLoaded ? feed.metrics : null;
  const isRunning = run.status === 'running';
  // The stream is ahead of the last read of the run; after a restart, the run's own word counts.
  const step =
    isRunning && store ? Math.max(store.newestStep, store.newestStep > 0 ? 0 : progress.step) : progress.step;
  const tokens = (isRunning ? store?.last('trained_tokens') : null) ?? progress.trained_tokens;
  const speed = (isRunning ? store?.last('tokens_per_second') : null) ?? progress.tokens_per_second;
  const loss = store?.last('train_loss') ?? progress.train_loss;
  const left = isRunning ? timeLeft(run, step) : null;
  const elapsed = run.started_at === null ? null : (run.finished_at ?? now) - run.started_at;
  return (
    <div className="progress-line">
      {!isTerminal(run.status) && (
        <ProgressBar share={progress.steps > 0 ? step / progress.steps : 0} label="Progress of the run" />
      )}
      <dl className="figures">
        <div>
          <dt className="label">Loss</dt>
          <dd className="num headline">{digits(loss, 4)}</dd>
        </div>
        <div>
          <dt className="label">Step</dt>
          <dd className="num">
            {step.toLocaleString('en-US')}
            <span className="unit"> / {progress.steps.toLocaleString('en-US')}</span>
          </dd>
        </div>
        <div>
          <dt className="label">Tokens</dt>
          <dd>
            <Amount {...si(tokens)} />
          </dd>
        </div>
        {isRunning && (
          <div>
            <dt className="label">Speed</dt>
            <dd>
              <Amount {...si(speed, 'tokens/s')} />
            </dd>
          </div>
        )}
        {isRunning && (
          <div>
            <dt className="label">Left</dt>
            <dd className="num">{durationRange(left)}</dd>
          </div>
        )}
        <div>
          <dt className="label">{isTerminal(run.status) ? 'Took' : 'Running for'}</dt>
          <dd className="num">{duration(elapsed)}</dd>
        </div>
        <div>
          <dt className="label">Trained</dt>
          <dd>
            <Amount {...si(run.config.trainable_parameters, 'parameters')} />
          </dd>
        </div>
        <div className="wide">
          <dt className="label">Created</dt>
          <dd className="num" title={dateTime(run.created_at)}>
            {age(run.created_at, now)} <span className="unit">ago</span>
          </dd>
        </div>
      </dl>
    </div>
  );
}

/** The server's estimate, moved on by the steps that came since it was made. */
function timeLeft({ progress }: RunObject, step: number): readonly [number, number] | null {
  const { seconds_remaining_range: range, step: known, steps } = progress;
  if (range === null || steps <= known) return null;
  const share = Math.max(0, steps - step) / (steps - known);
  return [range[0] * share, range[1] * share];
}

/** There while pausing or resuming is legal. */
function PauseButton({ run }: { run: RunObject }) {
  const cache = useQueryClient();
  // What its experiment holds can only be paused: it goes on by itself when it is among the best.
  const isPaused = (run.status === 'paused' && run.state_reason?.code !== 'held') || run.state === 'pausing';
  const change = useMutation({
    mutationFn: () => client.call(isPaused ? 'resumeRun' : 'pauseRun', { params: { id: run.id } }),
    onSuccess: (answer) => cache.setQueryData(keys.run(run.id), answer),
    onError: () => cache.invalidateQueries({ queryKey: keys.run(run.id), exact: true }),
  });
  if (isTerminal(run.status) || run.state === 'cancelling') return null;
  return (
    <>
      {change.error && <span className="tone-bad">{explain(change.error)}</span>}
      <button type="button" disabled={change.isPending} onClick={() => change.mutate()}>
        {isPaused ? 'Resume' : 'Pause'}
      </button>
    </>
  );
}

/** There while cancelling is legal; asks once more in its own place. */
function CancelButton({ run }: { run: RunObject }) {
  const cache = useQueryClient();
  const [isAsking, setAsking] = useState(false);
  const cancel = useMutation({
    mutationFn: () => client.call('cancelRun', { params: { id: run.id } }),
    onSuccess: (answer) => cache.setQueryData(keys.run(run.id), answer),
    onError: () => cache.invalidateQueries({ queryKey: keys.run(run.id), exact: true }),
    onSettled: () => setAsking(false),
  });
  useEscape(isAsking, () => setAsking(false));
  if (isTerminal(run.status) || run.state === 'cancelling') return null;
  if (!isAsking)
    return (
      <>
        {cancel.error && <span className="tone-bad">{explain(cancel.error)}</span>}
        <button type="button" onClick={() => setAsking(true)}>
          Cancel run
        </button>
      </>
    );
  return (
    <span className="ask" role="group" aria-label="Cancel this run?">
      <button type="button" className="danger" disabled={cancel.isPending} onClick={() => cancel.mutate()}>
        {cancel.isPending ? 'Cancelling …' : 'Yes, cancel it'}
      </button>
      <button type="button" onClick={() => setAsking(false)}>
        Keep it
      </button>
    </span>
  );
}

const FORMATS: Record<string, { format: 'native' | 'peft' | 'merged'; word: string; what: string }> = {
  adapter: { format: 'native', word: 'Adapter', what: 'in the format of its method' },
  peft: { format: 'peft', word: 'PEFT adapter', what: 'for Hugging Face PEFT and vLLM' },
  merged: { format: 'merged', word: 'Merged model', what: 'base and adapter in one, a Hugging Face folder' },
};

/** There when the run has something to download, with only what exists. */
function DownloadMenu({ run }: { run: RunObject }) {
  const menu = useRef<HTMLSpanElement>(null);
  const [isOpen, setOpen] = useState(false);
  useEscape(isOpen, () => setOpen(false));
  useEffect(() => {
    const close = (event: Event): void => {
      if (!menu.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', close);
    return () => document.removeEventListener('pointerdown', close);
  }, []);
  const formats = run.exports.flatMap((kind) => FORMATS[kind] ?? []);
  if (formats.length === 0) return null;
  return (
    <span className="menu" ref={menu}>
      <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        Download
      </button>
      <ul hidden={!isOpen}>
        {formats.map(({ format, word, what }) => (
          <li key={format}>
            <a href={client.url('getRunAdapter', { params: { id: run.id }, query: { format } })} download>
              {word}
              <span className="weak label">{what}</span>
            </a>
          </li>
        ))}
      </ul>
    </span>
  );
}
