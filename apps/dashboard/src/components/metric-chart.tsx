import { type RefObject, useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useThemeVersion } from '../lib/theme.js';
import { alignLines } from '../series/lines.js';
import { ChartCaption, chartSummary, writeLegend } from './chart-legend.js';
import { chartOptions } from './chart-options.js';
import type { MetricChartProps } from './chart-parts.js';

/** One chart of the run page; the cursor is shared by all charts of a key and its values stand in the legend. */
export function MetricChart(props: MetricChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const caption = useRef<HTMLElement>(null);
  const hasData = props.lines.some(({ line }) => line.x.length > 0) && props.yRange !== null;
  usePlot(box, caption, props, hasData);
  return (
    <figure className="chart" aria-label={chartSummary(props)}>
      <ChartCaption title={props.title} unit={props.unit} lines={props.lines} ref={caption} />
      <div className="plot" ref={box}>
        {!hasData && <p className="plot-empty weak">{props.empty}</p>}
      </div>
    </figure>
  );
}

/** Makes the plot once per shape (lines, axis kind, theme) and only feeds it afterwards. */
function usePlot(
  box: RefObject<HTMLDivElement | null>,
  caption: RefObject<HTMLElement | null>,
  props: MetricChartProps,
  hasData: boolean,
): void {
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  const cursorStep = useRef<number | null>(null);
  const themeVersion = useThemeVersion();
  const shape = props.lines.map(({ label, color, look }) => `${label}${color}${look}`).join('|');

  useEffect(() => {
    latest.current = props;
    writeLegend(caption.current, props, cursorStep.current);
    if (plot.current) feed(plot.current, props);
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for the lines, and the theme's colours are read anew
  useEffect(() => {
    const host = box.current;
    if (!host || !hasData) return;
    const sizeOf = () => ({ width: Math.max(100, host.clientWidth), height: host.clientHeight });
    const onCursor = (step: number | null): void => {
      cursorStep.current = step;
      writeLegend(caption.current, latest.current, step);
    };
    const options = chartOptions({ size: sizeOf(), latest: () => latest.current, onCursor });
    const made = new uPlot(options, dataOf(latest.current), host);
    feed(made, latest.current);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize(sizeOf()));
    observer.observe(host);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, props.isLog, hasData, props.syncKey, themeVersion]);
}

const dataOf = ({ lines }: MetricChartProps): uPlot.AlignedData =>
  alignLines(lines.map(({ line }) => line)) as uPlot.AlignedData;

function feed(plot: uPlot, props: MetricChartProps): void {
  const { xRange, yRange } = props;
  plot.batch(() => {
    plot.setData(dataOf(props), false);
    plot.setScale('x', { min: xRange[0], max: xRange[1] });
    if (yRange) plot.setScale('y', { min: yRange[0], max: yRange[1] });
  });
}
