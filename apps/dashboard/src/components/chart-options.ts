import type uPlot from 'uplot';
import { resolveColors } from '../lib/theme.js';
import { linearTicks, logTicks, tickTexts } from '../series/ticks.js';
import { type ChartLine, isRead, type Marker, type MetricChartProps } from './chart-parts.js';

const AXIS_FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';
const COLORS = ['--series-valid', '--text-weak', '--chart-grid', '--line-strong', '--state-bad'] as const;
type Colors = Record<string, string>;

interface ChartSetup {
  size: { width: number; height: number };
  /** The chart as it is now; what follows the pointer reads it anew. */
  latest: () => MetricChartProps;
  /** The step under the cursor; null where there is none. */
  onCursor: (step: number | null) => void;
}

/** What uPlot needs to know of a chart; colours are those of this moment. */
export function chartOptions({ size, latest, onCursor }: ChartSetup): uPlot.Options {
  const { lines, isLog, syncKey } = latest();
  const colors: Colors = resolveColors([...COLORS, ...lines.map(({ color }) => color)]);
  return {
    ...size,
    padding: [8, 20, 0, 0],
    legend: { show: false },
    scales: { x: { time: false }, y: { distr: isLog ? 3 : 1, auto: false } },
    series: [{}, ...lines.map((line) => seriesOf(line, colors[line.color] ?? ''))],
    axes: [stepAxis(colors), valueAxis(colors, isLog)],
    cursor: cursorOf(latest, syncKey),
    hooks: {
      setSelect: [(self) => zoomTo(self, latest().onZoom)],
      setCursor: [(self) => onCursor(stepUnder(self, latest().lines))],
      drawAxes: [(self) => drawMarkers(self, latest().markers, colors)],
    },
  };
}

function seriesOf({ look }: ChartLine, color: string): uPlot.Series {
  const dots = look === 'dots';
  return {
    stroke: color,
    width: look === 'solid' ? 1.5 : 1,
    alpha: look === 'faint' ? 0.3 : 1,
    // A line is broken where it says null; where it has no point of its own (undefined) it goes on.
    spanGaps: false,
    dash: look === 'dashed' ? [4, 4] : undefined,
    points: { show: dots, size: 5, fill: color },
  };
}

const room = (pixels: number, each: number): number => Math.max(2, Math.floor(pixels / devicePixelRatio / each));

const stepAxis = (colors: Colors): uPlot.Axis => ({
  stroke: colors['--text-weak'],
  font: AXIS_FONT,
  size: 24,
  gap: 4,
  grid: { show: false },
  ticks: { stroke: colors['--line-strong'], size: 4, width: 1 },
  splits: (self, _, min, max) => linearTicks(min, max, room(self.bbox.width, 64)).filter(Number.isInteger),
  values: (_, ticks) => tickTexts(ticks),
});

const valueAxis = (colors: Colors, isLog: boolean): uPlot.Axis => ({
  stroke: colors['--text-weak'],
  font: AXIS_FONT,
  // Fixed, so that the plot does not move when the digits change.
  size: 48,
  gap: 4,
  grid: { stroke: colors['--chart-grid'], width: 1 },
  ticks: { show: false },
  splits: (self, _, min, max) => (isLog ? logTicks : linearTicks)(min, max, room(self.bbox.height, 32)),
  filter: (_, ticks) => ticks,
  values: (_, ticks) => tickTexts(ticks),
});

const cursorOf = (latest: () => MetricChartProps, syncKey: string): uPlot.Cursor => ({
  y: false,
  drag: { x: true, y: false, setScale: false },
  // By value on x only; the charts have different quantities on y.
  sync: { key: syncKey, setSeries: false, scales: ['x', null] },
  // The lines that one reads, not the raw one behind or the limit.
  points: { size: (_, index) => (hasPoint(latest().lines[index - 1]) ? 6 : 0) },
  bind: {
    dblclick: () => () => {
      latest().onZoom(null);
      return null;
    },
  },
});

const hasPoint = (line: ChartLine | undefined): boolean => isRead(line) && line?.look !== 'faint';

/** The brushed range of steps. */
function zoomTo(self: uPlot, onZoom: MetricChartProps['onZoom']): void {
  const { left, width } = self.select;
  if (width < 4) return;
  const from = Math.max(0, Math.floor(self.posToVal(left, 'x')));
  const to = Math.ceil(self.posToVal(left + width, 'x'));
  self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onZoom([from, Math.max(from + 1, to)]);
}

function stepUnder(self: uPlot, lines: readonly ChartLine[]): number | null {
  const { left, idx } = self.cursor;
  if (left === undefined || left === null || left < 0 || idx === null) return null;
  // Beyond the newest measured step there is nothing to read.
  const newest = Math.max(0, ...lines.filter(isRead).map(({ line }) => line.x.at(-1) ?? 0));
  return Math.min(Math.round(self.posToVal(left, 'x')), Math.round(newest));
}

/** Restarts as a dashed line through the plot, checkpoints as a short tick on the axis, gaps as a cross above. */
function drawMarkers(self: uPlot, markers: readonly Marker[], colors: Colors): void {
  const { ctx, bbox } = self;
  ctx.save();
  for (const { step, kind } of markers) {
    const x = Math.round(self.valToPos(step, 'x', true));
    if (x >= bbox.left && x <= bbox.left + bbox.width) DRAW[kind](ctx, x, bbox, colors);
  }
  ctx.restore();
}

type Draw = (ctx: CanvasRenderingContext2D, x: number, bbox: uPlot.BBox, colors: Colors) => void;

const DRAW: Record<Marker['kind'], Draw> = {
  restart: (ctx, x, { top, height }, colors) => {
    const dash = 3 * devicePixelRatio;
    stroke(ctx, colors['--text-weak'], [dash, dash], [[x, top + height, x, top]]);
  },
  checkpoint: (ctx, x, { top, height }, colors) => {
    const foot = top + height;
    stroke(ctx, colors['--line-strong'], [], [[x, foot, x, foot - 8 * devicePixelRatio]]);
  },
  gap: (ctx, x, { top }, colors) => {
    const [half, y] = [3 * devicePixelRatio, top + 4 * devicePixelRatio];
    const strokes: [number, number, number, number][] = [
      [x - half, y - half, x + half, y + half],
      [x - half, y + half, x + half, y - half],
    ];
    stroke(ctx, colors['--state-bad'], [], strokes);
  },
};

function stroke(
  ctx: CanvasRenderingContext2D,
  color: string | undefined,
  dash: number[],
  lines: readonly [fromX: number, fromY: number, toX: number, toY: number][],
): void {
  ctx.lineWidth = devicePixelRatio;
  ctx.strokeStyle = color ?? '';
  ctx.setLineDash(dash);
  ctx.beginPath();
  for (const [fromX, fromY, toX, toY] of lines) {
    ctx.moveTo(fromX, fromY);
    ctx.lineTo(toX, toY);
  }
  ctx.stroke();
}
