import { type CheckpointObject, isTerminal, methodRow, type RunObject } from '@moraine/contract';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { useSearchParams } from 'react-router';
import type { ChartLine, Marker } from '../components/chart-parts.js';
import { MetricChart } from '../components/metric-chart.js';
import { ErrorNotice, Loading } from '../components/notice.js';
import { useEscape } from '../hooks/use-hotkeys.js';
import { type Feed, useFeedVersion } from '../hooks/use-run.js';
import { client } from '../lib/client.js';
import { keys } from '../lib/query-keys.js';
import { EMPTY_SERIES, type Series } from '../series/bucket.js';
import { type ChartView, HALF_LIVES, readChartView } from '../series/chart-view.js';
import { rawLine, smoothLine, valuesWithin, withDetail } from '../series/lines.js';
import type { MetricStore } from '../series/metric-store.js';
import { type Range, stepRange, valueRange } from '../series/range.js';
import { readSeries, stepsText } from '../series/readout.js';

interface Plan {
  title: string;
  unit: string;
  metric: string;
  label: string;
  /** A second metric, measured now and then. */
  dots?: { metric: string; label: string };
  isSmoothed: boolean;
}

const PLANS: readonly Plan[] = [
  {
    title: 'Loss',
    unit: 'nats per token',
    metric: 'train_loss',
    label: 'train',
    dots: { metric: 'valid_loss', label: 'valid' },
    isSmoothed: true,
  },
  { title: 'Learning rate', unit: '', metric: 'learning_rate', label: 'learning rate', isSmoothed: false },
  { title: 'Speed', unit: 'tokens/s', metric: 'tokens_per_second', label: 'tokens/s', isSmoothed: true },
  { title: 'Gradient norm', unit: 'before clipping', metric: 'grad_norm', label: 'norm', isSmoothed: true },
];

/** Of runs that are compared with their base. */
const DISTANCE: Plan = {
  title: 'Distance from the base',
  unit: 'KL, nats per token',
  metric: 'kl_to_base',
  label: 'train',
  dots: { metric: 'valid_kl_to_base', label: 'valid' },
  isSmoothed: true,
};

/** Of runs on a mix with a source: what the rows of each role lose. */
const ROLES: Plan = {
  title: 'Loss by role',
  unit: 'nats per token',
  metric: 'train_loss_target',
  label: 'target',
  dots: { metric: 'train_loss_source', label: 'source' },
  isSmoothed: true,
};

const plansOf = ({ config }: RunObject): Plan[] => [
  ...PLANS,
  ...(config.data_mix?.some(({ role }) => role === 'source') ? [ROLES] : []),
  ...(config.regularize ? [DISTANCE] : []),
];

export function RunCharts({
  run,
  checkpoints,
  feed: { feed, error },
}: {
  run: RunObject;
  checkpoints: readonly CheckpointObject[];
  feed: Feed;
}) {
  const version = useFeedVersion(feed);
  const [params, setParams] = useSearchParams();
  const view = useMemo(() => readChartView(params), [params]);
  const set = (name: string, value: string | null): void =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        if (value === null) next.delete(name);
        else next.set(name, value);
        return next;
      },
      { replace: true, preventScrollReset: true },
    );
  const onZoom = (range: Range | null): void => set('steps', range && `${range[0]}-${range[1]}`);
  useEscape(view.window !== null, () => onZoom(null));

  const detail = useDetail(run.id, feed, view.window);
  const markers = useMemo(() => markersOf(run, checkpoints), [run, checkpoints]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for what is inside the store
  const charts = useMemo(
    () => (feed ? plansOf(run).map((plan) => drawChart(plan, run, feed.metrics, detail, view)) : []),
    [feed, version, run, detail, view],
  );

  if (feed && !feed.isLoaded && error) return <ErrorNotice error={error} what="metrics" />;
  if (!feed?.isLoaded) return <Loading what="metrics" />;
  return (
    <>
      <div className="chart-controls">
        <label>
          Smoothing
          <input
            type="range"
            min={0}
            max={HALF_LIVES.length - 1}
            step={1}
            value={view.smoothing}
            aria-valuetext={smoothingText(view.smoothing, run.config.steps)}
            onChange={(event) => set('smooth', event.target.value)}
          />
          <span className="num weak smoothing-text">{smoothingText(view.smoothing, run.config.steps)}</span>
        </label>
        <label>
          <input
            type="checkbox"
            checked={view.isLog}
            onChange={(event) => set('log', event.target.checked ? '1' : null)}
          />{' '}
          Log axis
        </label>
        <label>
          <input
            type="checkbox"
            checked={view.ignoreOutliers}
            onChange={(event) => set('outliers', event.target.checked ? 'ignored' : null)}
          />{' '}
          Ignore outliers
        </label>
        <span className="spacer" />
        {view.window ? (
          <button type="button" onClick={() => onZoom(null)}>
            Show all steps
          </button>
        ) : (
          <span className="label wide">Drag over a chart to zoom, double-click to reset</span>
        )}
      </div>
      <div className="charts">
        {charts.map(({ plan, lines, xRange, yRange, gaps, stepsAt }) => (
          <MetricChart
            key={plan.metric}
            title={plan.title}
            unit={plan.unit}
            lines={lines}
            markers={[...markers, ...gaps.map(({ step }): Marker => ({ step, kind: 'gap' }))]}
            xRange={xRange}
            yRange={yRange}
            isLog={view.isLog}
            stepsAt={stepsAt}
            syncKey={run.id}
            onZoom={onZoom}
            empty={emptyText(run, plan)}
          />
        ))}
      </div>
    </>
  );
}

const smoothingText = (index: number, steps: number): string => {
  const halfLife = (HALF_LIVES[index] ?? 0) * steps;
  return halfLife === 0
    ? 'off'
    : `half-life ${halfLife < 10 ? halfLife.toFixed(1) : Math.round(halfLife).toLocaleString('en-US')} steps`;
};

/** The shown window at the finest resolution that there is; nothing is asked where the whole run is drawn point by point already. */
function useDetail(runId: string, feed: Feed['feed'], window: Range | null): MetricStore | null {
  const isWanted = feed?.isLoaded === true && window !== null && feed.metrics.isCoarse;
  const [from, to] = window ?? [0, 0];
  const { data } = useQuery({
    queryKey: keys.detail(runId, from, to),
    queryFn: ({ signal }) =>
      client.call('getRunMetrics', { params: { id: runId }, query: { from, to, buckets: 2000 }, signal }),
    enabled: isWanted,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 30_000,
    refetchOnWindowFocus: false,
  });
  const detail = useMemo(() => (isWanted && data && feed ? feed.setDetail(data) : null), [isWanted, data, feed]);
  useEffect(() => () => void feed?.setDetail(null), [feed]);
  return detail;
}

/** Everything of one chart that follows from what was measured and how it is looked at. */
function drawChart(plan: Plan, run: RunObject, store: MetricStore, detail: MetricStore | null, view: ChartView) {
  const { steps } = run.config;
  const whole = store.get(plan.metric);
  const shown = withDetail(whole, detail?.get(plan.metric), view.window);
  const xRange = view.window ?? stepRange(store.newestStep, steps);
  const lines = measuredLines(plan, run, { store, whole, shown, view, upTo: xRange[1] });
  const seen = lines.map(({ line }) => valuesWithin(line, xRange));
  // Outliers are those of the raw training values; the rare validation points always count whole.
  const yRange = valueRange(seen.flat(), { log: view.isLog, ignoreOutliers: view.ignoreOutliers });
  const limit = run.config.optimizer.max_grad_norm;
  if (plan.metric === 'grad_norm' && limit > 0 && yRange && whole.points.length > 0)
    lines.push({
      label: 'clipped above',
      color: '--text-weak',
      look: 'dashed',
      line: { x: [0, Math.max(steps, xRange[1])], y: [limit, limit] },
    });
  const gaps = [shown, plan.dots ? store.get(plan.dots.metric) : EMPTY_SERIES].flatMap((series) => series.gaps ?? []);
  return { plan, lines, xRange, yRange, gaps, stepsAt: (step: number) => stepsText(shown, step) };
}

interface Drawn {
  store: MetricStore;
  /** The whole run, and what of it is in sight. */
  whole: Series;
  shown: Series;
  view: ChartView;
  /** The last step in sight. */
  upTo: number;
}

/** What was measured, and the smoothed line before it, each under its own name. */
function measuredLines(plan: Plan, run: RunObject, { store, whole, shown, view, upTo }: Drawn): ChartLine[] {
  const color = `--method-${methodRow(run.config.adapter).color}` as const;
  const halfLife = plan.isSmoothed ? (HALF_LIVES[view.smoothing] ?? 0) * run.config.steps : 0;
  const reader = (series: Series) => (step: number | null) => readSeries(series, step, upTo);
  const lines: ChartLine[] = [
    {
      label: plan.label,
      color,
      line: rawLine(shown, view.isLog),
      look: halfLife > 0 ? 'faint' : 'solid',
      read: reader(shown),
    },
  ];
  if (halfLife > 0)
    lines.push({ label: 'smoothed', color, line: smoothLine(whole, halfLife, view.isLog), look: 'solid' });
  if (plan.dots) {
    const { metric, label } = plan.dots;
    const series = store.get(metric);
    lines.push({
      label,
      color: '--series-valid',
      line: rawLine(series, view.isLog),
      look: 'dots',
      read: reader(series),
    });
  }
  return lines;
}

const markersOf = (run: RunObject, checkpoints: readonly CheckpointObject[]): Marker[] => [
  ...run.attempts
    .filter(({ attempt }) => attempt > 1)
    .map(({ start_step }): Marker => ({ step: start_step, kind: 'restart' })),
  ...checkpoints.map(({ step_number }): Marker => ({ step: step_number, kind: 'checkpoint' })),
];

function emptyText(run: RunObject, plan: Plan): string {
  if (isTerminal(run.status)) return `The run ended before its first step: there is no ${plan.title.toLowerCase()}.`;
  if (run.status === 'running') return `${plan.title} appears with the first step.`;
  return `${plan.title} appears when a worker has taken the run.`;
}
