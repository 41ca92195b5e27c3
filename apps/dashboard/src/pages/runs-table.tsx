import { isTerminal, type RunOrder, type RunSort, type RunSummary } from '@moraine/contract';
import { memo, type RefObject, useEffect, useRef, useState } from 'react';
import { Link } from 'react-router';
import { Amount, MethodChip, ProgressBar } from '../components/bits.js';
import { RunStateBadge } from '../components/state.js';
import { useFixedRows } from '../hooks/use-fixed-rows.js';
import { useHotkeys } from '../hooks/use-hotkeys.js';
import { useNarrow } from '../hooks/use-narrow.js';
import { useNow } from '../hooks/use-now.js';
import type { Runs } from '../hooks/use-runs.js';
import { useScrollPlace } from '../hooks/use-scroll-place.js';
import { age, dateTime, digits, durationRange, shortest, si } from '../lib/format.js';

/** Columns with what the server sorts them by, and whether the first click puts the largest first. */
const COLUMNS: readonly { name: string; css: string; sort?: RunSort; isLargestFirst?: boolean }[] = [
  { name: 'State', css: 'state', sort: 'status' },
  { name: 'Run', css: 'name', sort: 'name' },
  { name: 'Method', css: 'method', sort: 'method' },
  { name: 'Base', css: 'base', sort: 'base' },
  { name: 'Parameters', css: 'params', sort: 'parameters', isLargestFirst: true },
  { name: 'Learning rate', css: 'lr', sort: 'learning_rate', isLargestFirst: true },
  { name: 'Progress', css: 'progress', sort: 'progress', isLargestFirst: true },
  { name: 'Loss', css: 'loss', sort: 'loss' },
  { name: 'Tokens/s', css: 'speed', sort: 'speed', isLargestFirst: true },
  { name: 'Left', css: 'left' },
  { name: 'Created', css: 'age', sort: 'created', isLargestFirst: true },
];
const cell = (at: number): string => `cell cell-${COLUMNS[at]?.css}`;

interface RunsTableProps {
  runs: Runs & { rows: RunSummary[] };
  sort: RunOrder;
  onSort: (sort: RunOrder) => void;
}

/** Only rows in sight exist, however many are loaded; the next page is fetched before its rows are reached. */
export function RunsTable({ runs, sort, onSort }: RunsTableProps) {
  const { rows, totalCount, hasMore, loadMore, newCount, showNew } = runs;
  const scroller = useRef<HTMLDivElement>(null);
  const [isPointerInside, setPointerInside] = useState(false);
  const now = useNow();
  const rowHeight = useNarrow() ? 56 : 32;
  useScrollPlace(scroller);
  const { start, end, totalHeight, scrollToRow } = useFixedRows(scroller, rows.length, rowHeight);
  useEffect(() => {
    if (hasMore && end > rows.length - 10) loadMore();
  }, [hasMore, end, rows.length, loadMore]);

  const { active, setActive } = useActiveRow(scroller, rows.length, scrollToRow);
  // New runs come in by themselves only where no row can move under a pointer, a focus or a reading eye.
  useEffect(() => {
    const isAtTop = (scroller.current?.scrollTop ?? 0) < 8;
    if (newCount > 0 && isAtTop && !isPointerInside && active < 0) showNew();
  }, [newCount, isPointerInside, active, showNew]);

  return (
    <>
      {newCount > 0 && (
        <button type="button" className="plain new-rows" onClick={showNew}>
          {newCount === 1 ? 'Show 1 new run' : `Show ${newCount} new runs`}
        </button>
      )}
      <div
        className="table runs"
        role="table"
        aria-label="Runs"
        aria-rowcount={totalCount === null ? -1 : totalCount + 1}
        onPointerEnter={() => setPointerInside(true)}
        onPointerLeave={() => setPointerInside(false)}
      >
        <TableHead sort={sort} onSort={onSort} />
        <div className="table-body" ref={scroller} role="rowgroup" tabIndex={-1}>
          <div style={{ height: totalHeight, position: 'relative' }}>
            {rows.slice(start, end).map((run, at) => (
              <div
                key={run.id}
                className="row"
                role="row"
                tabIndex={-1}
                aria-rowindex={start + at + 2}
                data-index={start + at}
                style={{ transform: `translateY(${(start + at) * rowHeight}px)`, height: rowHeight }}
                onFocus={() => setActive(start + at)}
                onBlur={() => setActive(-1)}
              >
                <RunCells run={run} now={Math.floor(now)} />
              </div>
            ))}
          </div>
        </div>
      </div>
      <TableFoot runs={runs} count={rows.length} />
    </>
  );
}

/** The row that has the focus, which j and k move. */
function useActiveRow(scroller: RefObject<HTMLElement | null>, count: number, scrollToRow: (index: number) => void) {
  const [active, setActive] = useState(-1);
  const focusRow = (to: number): void => {
    const index = Math.max(0, Math.min(count - 1, to));
    scrollToRow(index);
    setActive(index);
    // The row may have to be rendered first.
    requestAnimationFrame(() =>
      scroller.current?.querySelector<HTMLElement>(`[data-index="${index}"] a`)?.focus({ preventScroll: true }),
    );
  };
  useHotkeys({ j: () => focusRow(active + 1), k: () => focusRow(active - 1) });
  return { active, setActive };
}

/** How many rows are loaded of how many there are. */
function TableFoot({ runs: { totalCount, hasMore, isLoadingMore }, count }: { runs: Runs; count: number }) {
  const shown = count.toLocaleString('en-US');
  return (
    <p className="table-foot label" role="status">
      {hasMore && totalCount !== null
        ? `${shown} of ${totalCount.toLocaleString('en-US')} runs`
        : `${shown} ${count === 1 ? 'run' : 'runs'}`}
      {isLoadingMore ? ' · loading more …' : hasMore ? ' · more load as you scroll' : ''}
    </p>
  );
}

function TableHead({ sort, onSort }: Pick<RunsTableProps, 'sort' | 'onSort'>) {
  return (
    <div className="table-head" role="row" tabIndex={-1}>
      {COLUMNS.map((column, at) => {
        const by = column.sort;
        const isUp = sort === by;
        const isDown = sort === `-${by}`;
        const next = isUp || (column.isLargestFirst && !isDown) ? (`-${by}` as RunOrder) : by;
        return (
          <span
            key={column.name}
            role="columnheader"
            tabIndex={-1}
            className={`${cell(at)} label`}
            aria-sort={isUp ? 'ascending' : isDown ? 'descending' : undefined}
          >
            {next ? (
              <button type="button" className="plain label" onClick={() => onSort(next)}>
                {column.name}
                {isUp ? ' ↑' : isDown ? ' ↓' : ''}
              </button>
            ) : (
              column.name
            )}
          </span>
        );
      })}
    </div>
  );
}

const RunCells = memo(function RunCells({ run, now }: { run: RunSummary; now: number }) {
  const { progress } = run;
  const isGoing = run.status === 'running';
  const share = progress.steps > 0 ? progress.step / progress.steps : 0;
  return (
    <>
      <span role="cell" className={cell(0)}>
        <RunStateBadge run={run} />
      </span>
      <span role="cell" className={cell(1)}>
        <Link
          to={`/runs/${run.id}`}
          className={`row-link clip ${run.name === run.id ? 'mono' : ''}`}
          title={`${run.name} · ${run.id}`}
        >
          {run.name}
        </Link>
      </span>
      <span role="cell" className={cell(2)}>
        <MethodChip {...run.method} />
      </span>
      <span role="cell" className={`${cell(3)} clip`} title={run.model}>
        {run.model}
      </span>
      <span role="cell" className={cell(4)}>
        <Amount {...si(run.trainable_parameters)} />
        {run.method.rank !== null && <span className="weak num">{` · r ${run.method.rank}`}</span>}
      </span>
      <span role="cell" className={`${cell(5)} num`}>
        {shortest(run.learning_rate)}
      </span>
      <span role="cell" className={cell(6)}>
        {isTerminal(run.status) ? null : <ProgressBar share={share} label={`Progress of ${run.name}`} />}
        <span className="num weak">
          {progress.step.toLocaleString('en-US')} / {progress.steps.toLocaleString('en-US')}
        </span>
      </span>
      <span role="cell" className={`${cell(7)} num`}>
        {digits(progress.train_loss)}
      </span>
      <span role="cell" className={`${cell(8)} num`}>
        {isGoing && progress.tokens_per_second !== null ? <Amount {...si(progress.tokens_per_second)} /> : '–'}
      </span>
      <span role="cell" className={`${cell(9)} num`}>
        {isGoing ? durationRange(progress.seconds_remaining_range) : '–'}
      </span>
      <span role="cell" className={`${cell(10)} num weak`} title={dateTime(run.created_at)}>
        {age(run.created_at, now)}
        <span className="visually-hidden"> ago</span>
      </span>
    </>
  );
});
