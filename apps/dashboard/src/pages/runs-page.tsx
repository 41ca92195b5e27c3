import { AppError, explain, METHODS, type RunOrder, type RunStatus } from '@moraine/contract';
import { useEffect, useMemo, useRef, useState } from 'react';
import { useSearchParams } from 'react-router';
import { Command } from '../components/bits.js';
import { ErrorNotice, Loading, Notice } from '../components/notice.js';
import { STATUS_WORDS } from '../components/state.js';
import { useHotkeys } from '../hooks/use-hotkeys.js';
import { type Runs, useRuns } from '../hooks/use-runs.js';
import { useTitle } from '../hooks/use-title.js';
import { NEWEST_FIRST, readFilter } from '../lib/run-filter.js';
import { RunsTable } from './runs-table.js';

const METHOD_CHOICES: readonly (readonly [query: string, label: string])[] = [
  ['', 'Any method'],
  ...METHODS.map(({ name }) => [`method:${name.toLowerCase()}`, name] as const),
];

/** Every run of the project, newest first, live. The filter lives in the URL. */
export function RunsPage() {
  const [params, setParams] = useSearchParams();
  const filter = useMemo(() => readFilter(params), [params]);
  useTitle(filter.text.trim() || 'Runs');
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
  const terms = filter.text.split(/\s+/).filter(Boolean);
  const isMethod = (term: string): boolean => term.toLowerCase().startsWith('method:');
  const method = terms.find(isMethod)?.toLowerCase() ?? '';
  const setMethod = (value: string): void =>
    set('q', [...terms.filter((term) => !isMethod(term)), value].filter(Boolean).join(' '));

  const isFiltered = filter.status !== null || terms.length > 0;
  return (
    <section className="page" aria-label="Runs">
      <div className="toolbar">
        <h1>Runs</h1>
        <span className="weak num count" role="status">
          {countText(runs.totalCount, isFiltered)}
        </span>
        <input
          ref={field}
          type="search"
          className="grow"
          value={text}
          placeholder="Search: name, id, base:tiny, lr<1e-3, key=value"
          aria-label="Search the runs"
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
        isFiltered={isFiltered}
        sort={filter.sort}
        onSort={(sort) => set('sort', sort === NEWEST_FIRST ? '' : sort)}
        onClear={() => setParams({}, { replace: true })}
      />
    </section>
  );
}

const countText = (count: number | null, isFiltered: boolean): string => {
  if (count === null) return '';
  const runs = `${count.toLocaleString('en-US')} ${count === 1 ? 'run' : 'runs'}`;
  return isFiltered ? `${runs} ${count === 1 ? 'matches' : 'match'}` : runs;
};

interface RunsBodyProps {
  runs: Runs;
  isFiltered: boolean;
  sort: RunOrder;
  onSort: (sort: RunOrder) => void;
  onClear: () => void;
}

function RunsBody({ runs, isFiltered, sort, onSort, onClear }: RunsBodyProps) {
  const { newCount, showNew } = runs;
  const isEmpty = runs.rows?.length === 0;
  useEffect(() => {
    // Where there is no row, none can move.
    if (isEmpty && newCount > 0) showNew();
  }, [isEmpty, newCount, showNew]);
  if (isFiltered && runs.error instanceof AppError && runs.error.code === 'invalid_value')
    return (
      <Notice title="The search makes no sense yet">
        <p>{explain(runs.error)}</p>
      </Notice>
    );
  if (runs.error) return <ErrorNotice error={runs.error} what="list of runs" />;
  if (!runs.rows) return <Loading what="runs" />;
  if (runs.rows.length > 0) return <RunsTable runs={{ ...runs, rows: runs.rows }} sort={sort} onSort={onSort} />;
  if (isFiltered)
    return (
      <Notice title="No run matches">
        <p>All runs of the project were searched.</p>
        <button type="button" onClick={onClear}>
          Clear the search
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
