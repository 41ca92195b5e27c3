import { type ReactNode, useEffect, useRef, useState } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { digits } from '../lib/format.js';
import { resolveColors, useThemeVersion } from '../lib/theme.js';
import { alignLines, type Line, valueAt } from '../series/lines.js';
import type { Range } from '../series/range.js';
import { linearTicks, logTicks, tickTexts } from '../series/ticks.js';

export type ChartColor = `--method-${string}` | '--series-valid' | '--text-weak';

export interface ChartLine {
  label: string;
  color: ChartColor;
  line: Line;
  look: 'solid' | 'faint' | 'dots' | 'dashed';
  /** Left out of the legend. */
  isSilent?: boolean;
}

/** A vertical mark on the step axis. */
export interface Marker {
  step: number;
  kind: 'restart' | 'checkpoint';
  title: string;
}

interface MetricChartProps {
  title: string;
  unit: string;
  lines: readonly ChartLine[];
  markers: readonly Marker[];
  xRange: Range;
  yRange: Range | null;
  isLog: boolean;
  syncKey: string;
  /** Said where the chart will be, while there is nothing to draw. */
  empty: ReactNode;
  onZoom: (range: Range | null) => void;
}

const AXIS_FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';
const COLORS = ['--series-valid', '--text-weak', '--chart-grid', '--line-strong'] as const;

/**
 * One chart of the run page. The plot is made once per shape (lines, axis kind, theme) and only fed afterwards; the cursor is shared by
 * all charts of a key and its values stand in the legend, written past React because it follows the pointer.
 */
export function MetricChart(props: MetricChartProps) {
  const { title, unit, lines, syncKey, isLog } = props;
  const box = useRef<HTMLDivElement>(null);
  const legend = useRef<HTMLUListElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  const cursorStep = useRef<number | null>(null);
  const themeVersion = useThemeVersion();
  const [isReady, setReady] = useState(false);
  const hasData = lines.some(({ line }) => line.x.length > 0) && props.yRange !== null;
  const shape = lines.map(({ label, color, look }) => `${label}${color}${look}`).join('|');

  useEffect(() => {
    latest.current = props;
    writeLegend(legend.current, props, cursorStep.current);
    if (!plot.current || !isReady) return;
    const { xRange, yRange } = props;
    plot.current.batch(() => {
      plot.current?.setData(alignLines(props.lines.map(({ line }) => line)) as uPlot.AlignedData, false);
      plot.current?.setScale('x', { min: xRange[0], max: xRange[1] });
      if (yRange) plot.current?.setScale('y', { min: yRange[0], max: yRange[1] });
    });
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for the lines, and the theme's colours are read anew
  useEffect(() => {
    const host = box.current;
    if (!host || !hasData) return;
    const colors = resolveColors([...COLORS, ...latest.current.lines.map(({ color }) => color)]);
    const made = new uPlot(
      {
        width: Math.max(100, host.clientWidth),
        height: host.clientHeight,
        padding: [8, 20, 0, 0],
        legend: { show: false },
        scales: { x: { time: false }, y: { distr: isLog ? 3 : 1, auto: false } },
        series: [{}, ...latest.current.lines.map((line) => seriesOf(line, colors[line.color] ?? ''))],
        axes: [
          {
            stroke: colors['--text-weak'],
            font: AXIS_FONT,
            size: 24,
            gap: 4,
            grid: { show: false },
            ticks: { stroke: colors['--line-strong'], size: 4, width: 1 },
            splits: (self, _, min, max) =>
              linearTicks(min, max, Math.max(2, Math.floor(self.bbox.width / devicePixelRatio / 64))).filter(
                Number.isInteger,
              ),
            values: (_, ticks) => tickTexts(ticks),
          },
          {
            stroke: colors['--text-weak'],
            font: AXIS_FONT,
            // Fixed, so that the plot does not move when the digits change.
            size: 48,
            gap: 4,
            grid: { stroke: colors['--chart-grid'], width: 1 },
            ticks: { show: false },
            splits: (self, _, min, max) =>
              (isLog ? logTicks : linearTicks)(
                min,
                max,
                Math.max(2, Math.floor(self.bbox.height / devicePixelRatio / 32)),
              ),
            filter: (_, ticks) => ticks,
            values: (_, ticks) => tickTexts(ticks),
          },
        ],
        cursor: {
          y: false,
          drag: { x: true, y: false, setScale: false },
          // By value on x only; the charts have different quantities on y.
          sync: { key: syncKey, setSeries: false, scales: ['x', null] },
          // The lines that one reads, not the raw one behind or the limit.
          points: { size: (_, index) => (isRead(latest.current.lines[index - 1]) ? 6 : 0) },
          bind: {
            dblclick: () => () => {
              latest.current.onZoom(null);
              return null;
            },
          },
        },
        hooks: {
          setSelect: [
            (self) => {
              const { left, width } = self.select;
              if (width < 4) return;
              const from = self.posToVal(left, 'x');
              const to = self.posToVal(left + width, 'x');
              self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              latest.current.onZoom([Math.max(0, Math.floor(from)), Math.max(Math.floor(from) + 1, Math.ceil(to))]);
            },
          ],
          setCursor: [
            (self) => {
              const { left, idx } = self.cursor;
              const isOver = left !== undefined && left !== null && left >= 0 && idx !== null;
              const step = isOver
                ? Math.min(Math.round(self.posToVal(left, 'x')), newestStep(latest.current.lines))
                : null;
              cursorStep.current = step;
              writeLegend(legend.current, latest.current, step);
            },
          ],
          drawAxes: [
            (self) => drawMarkers(self, latest.current.markers, colors['--line-strong'], colors['--text-weak']),
          ],
        },
      },
      alignLines(latest.current.lines.map(({ line }) => line)) as uPlot.AlignedData,
      host,
    );
    const { xRange, yRange } = latest.current;
    made.batch(() => {
      made.setScale('x', { min: xRange[0], max: xRange[1] });
      if (yRange) made.setScale('y', { min: yRange[0], max: yRange[1] });
    });
    plot.current = made;
    setReady(true);
    const observer = new ResizeObserver(() =>
      made.setSize({ width: Math.max(100, host.clientWidth), height: host.clientHeight }),
    );
    observer.observe(host);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
      setReady(false);
    };
  }, [shape, isLog, hasData, syncKey, themeVersion]);

  return (
    <figure className="chart" aria-label={summary(title, unit, lines)}>
      <figcaption>
        <span className="chart-title">{title}</span> <span className="unit">{unit}</span>
        <ul ref={legend} className="legend" aria-hidden="true">
          {lines
            .filter((line) => !line.isSilent)
            .map((line) => (
              <li key={line.label} data-label={line.label}>
                <span className={`key ${line.look}`} style={{ color: `var(${line.color})` }} /> {line.label}{' '}
                <span className="num value">–</span>
              </li>
            ))}
          <li className="at num weak" />
        </ul>
      </figcaption>
      <div className="plot" ref={box}>
        {!hasData && <p className="plot-empty weak">{props.empty}</p>}
      </div>
    </figure>
  );
}

function seriesOf({ look }: ChartLine, color: string): uPlot.Series {
  const dots = look === 'dots';
  return {
    stroke: color,
    width: look === 'solid' ? 1.5 : 1,
    alpha: look === 'faint' ? 0.3 : 1,
    spanGaps: true,
    dash: look === 'dashed' ? [4, 4] : undefined,
    points: { show: dots, size: 5, fill: color },
  };
}

const isRead = (line: ChartLine | undefined): boolean => line !== undefined && !line.isSilent && line.look !== 'dashed';

/** Beyond the newest measured step there is nothing to read. */
const newestStep = (lines: readonly ChartLine[]): number =>
  Math.max(0, ...lines.filter(isRead).map(({ line }) => line.x.at(-1) ?? 0));

const text = (element: Element | null, value: string): void => {
  if (element && element.textContent !== value) element.textContent = value;
};

/** The values at the cursor; without one, the newest in sight. */
function writeLegend(list: HTMLUListElement | null, { lines, xRange }: MetricChartProps, step: number | null): void {
  if (!list) return;
  for (const item of list.querySelectorAll<HTMLElement>('[data-label]')) {
    const line = lines.find(({ label, isSilent }) => label === item.dataset.label && !isSilent)?.line;
    text(item.querySelector('.value'), digits(line ? valueAt(line, step ?? xRange[1]) : null, 4));
  }
  text(list.querySelector('.at'), step === null ? '' : `step ${Math.round(step).toLocaleString('en-US')}`);
}

/** Restarts as a dashed line through the plot, checkpoints as a short tick on the axis. */
function drawMarkers(self: uPlot, markers: readonly Marker[], checkpoint: string, restart: string): void {
  const { ctx, bbox } = self;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const { step, kind } of markers) {
    const x = Math.round(self.valToPos(step, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = kind === 'restart' ? restart : checkpoint;
    ctx.setLineDash(kind === 'restart' ? [3 * devicePixelRatio, 3 * devicePixelRatio] : []);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + bbox.height);
    ctx.lineTo(x, kind === 'restart' ? bbox.top : bbox.top + bbox.height - 8 * devicePixelRatio);
    ctx.stroke();
  }
  ctx.restore();
}

/** The chart in words, for those who do not see it. */
function summary(title: string, unit: string, lines: readonly ChartLine[]): string {
  const values = lines
    .filter((line) => !line.isSilent)
    .map(({ label, line }) => `${label} ${digits(line.y.findLast((y) => y !== null && y !== undefined) ?? null, 4)}`);
  return `${title}, ${unit}: ${values.join(', ')}`;
}
