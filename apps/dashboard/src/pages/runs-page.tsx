import { METHODS, type RunStatus } from '@moraine/contract';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useSearchParams } from 'react-router';
import { Command } from '../components/bits.js';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { STATUS_WORDS } from '../components/state.js';
import { useHotkeys } from '../hooks/use-hotkeys.js';
import { type Runs, useRuns } from '../hooks/use-runs.js';
import { readFilter } from '../lib/run-filter.js';
import { RunsTable } from './runs-table.js';

const METHOD_CHOICES: readonly (readonly [query: string, label: string])[] = [
  ['', 'Any method'],
  ...METHODS.map(({ name }) => [`method:${name.toLowerCase()}`, name] as const),
];

/** Every run of the project, newest first, live. The filter lives in the URL. */
export function RunsPage() {
  const [params, setParams] = useSearchParams();
  const filter = useMemo(() => readFilter(params), [params]);
  const runs = useRuns(filter);
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(filter.text);
  useEffect(() => {
    // While somebody types the field leads and the address follows, some letters behind.
    if (document.activeElement !== field.current) setText(filter.text);
  }, [filter.text]);
  useHotkeys({ '/': () => field.current?.select() });

  const set = (name: string, value: string): void =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        if (value) next.set(name, value);
        else next.delete(name);
        return next;
      },
      { replace: true },
    );
  const method = filter.terms.find((term) => term.startsWith('method:')) ?? '';
  const setMethod = (value: string): void =>
    set(
      'q',
      [...filter.text.split(/\s+/).filter((term) => term && !term.toLowerCase().startsWith('method:')), value]
        .filter(Boolean)
        .join(' '),
    );

  return (
    <section className="page" aria-label="Runs">
      <div className="toolbar">
        <h1>Runs</h1>
        <input
          ref={field}
          type="search"
          className="grow"
          value={text}
          placeholder="Filter: a name, base:tiny, or key=value of the metadata"
          aria-label="Filter the runs"
          aria-keyshortcuts="/"
          onChange={(event) => {
            setText(event.target.value);
            set('q', event.target.value);
          }}
          onKeyDown={(event) => event.key === 'Escape' && event.currentTarget.blur()}
        />
        <select
          aria-label="Status"
          value={filter.status ?? ''}
          onChange={(event) => set('status', event.target.value as RunStatus | '')}
        >
          <option value="">Any status</option>
          {STATUS_WORDS.map(([status, word]) => (
            <option key={status} value={status}>
              {word}
            </option>
          ))}
        </select>
        <select aria-label="Method" value={method} onChange={(event) => setMethod(event.target.value)}>
          {METHOD_CHOICES.map(([value, word]) => (
            <option key={value} value={value}>
              {word}
            </option>
          ))}
        </select>
      </div>
      <RunsBody
        runs={runs}
        isFiltered={filter.status !== null || filter.text.trim() !== ''}
        onClear={() => setParams({}, { replace: true })}
      />
    </section>
  );
}

function RunsBody({ runs, isFiltered, onClear }: { runs: Runs; isFiltered: boolean; onClear: () => void }) {
  const { newCount, showNew } = runs;
  const isEmpty = runs.rows?.length === 0;
  useEffect(() => {
    // Where there is no row, none can move.
    if (isEmpty && newCount > 0) showNew();
  }, [isEmpty, newCount, showNew]);
  if (runs.error) return <ErrorNotice error={runs.error} what="list of runs" />;
  if (!runs.rows) return <Loading what="runs" />;
  if (runs.rows.length > 0) return <RunsTable runs={{ ...runs, rows: runs.rows }} />;
  if (isFiltered)
    return (
      <Notice title="No run matches the filter">
        <p>
          {runs.hasMore ? 'Older runs are being searched …' : `None of the ${runs.loadedCount} loaded runs has it.`}
        </p>
        <button type="button" onClick={onClear}>
          Clear the filter
        </button>
      </Notice>
    );
  return (
    <Notice title="No runs yet">
      <p>See three adapters being trained, on this machine, in a few minutes:</p>
      <Command text="npm run demo" />
      <p>Or point the OpenAI client that you already have at this server, and create a fine-tuning job:</p>
      <Command text={'eval "$(npx moraine env)"'} />
      <p className="weak">
        The requests are described under <a href="/docs">API</a>. A run appears here the moment it is created.
      </p>
    </Notice>
  );
}
