import type { Ref } from 'react';
import { digits } from '../lib/format.js';
import { valueAt } from '../series/lines.js';
import type { ChartLine, MetricChartProps } from './chart-parts.js';

/** A chart's name, its lines and their values; the values are written past React, because they follow the pointer. */
export const ChartCaption = ({ title, unit, lines, ref }: ChartCaptionProps) => (
  <figcaption ref={ref}>
    <p>
      <span className="chart-title">{title}</span> <span className="unit">{unit}</span>
      <span className="gaps tone-bad" aria-hidden="true" />
      <span className="at num weak" aria-hidden="true" />
    </p>
    <ul className="legend" aria-hidden="true">
      {lines.map((line) => (
        <li key={line.label} data-label={line.label}>
          <span className={`key ${line.look}`} style={{ color: `var(${line.color})` }} /> {line.label}{' '}
          <span className="num value">–</span>
        </li>
      ))}
    </ul>
  </figcaption>
);

interface ChartCaptionProps extends Pick<MetricChartProps, 'title' | 'unit' | 'lines'> {
  ref: Ref<HTMLElement>;
}

/** Writes the values at the cursor; without one, the newest in sight. */
export function writeLegend(caption: HTMLElement | null, props: MetricChartProps, step: number | null): void {
  if (!caption) return;
  for (const item of caption.querySelectorAll<HTMLElement>('[data-label]')) {
    const line = props.lines.find(({ label }) => label === item.dataset.label);
    write(item.querySelector('.value'), line ? readLine(line, step, props) : '–');
  }
  write(caption.querySelector('.gaps'), gapsText(props));
  write(caption.querySelector('.at'), step === null ? '' : props.stepsAt(step));
}

/** Where values were no number; how many there were is not known of buckets. */
function gapsText({ markers }: MetricChartProps): string {
  const steps = markers.filter(({ kind }) => kind === 'gap').map(({ step }) => step);
  if (steps.length === 0) return '';
  const [first, last] = [Math.min(...steps), Math.max(...steps)].map((step) => step.toLocaleString('en-US'));
  return first === last ? `× no number at step ${first}` : `× no number at steps ${first} to ${last}`;
}

const readLine = ({ read, line }: ChartLine, step: number | null, { xRange }: MetricChartProps): string =>
  read ? read(step) : digits(valueAt(line, step ?? xRange[1]), 4);

const write = (element: Element | null, value: string): void => {
  if (element && element.textContent !== value) element.textContent = value;
};

/** The chart in words, for those who do not see it. */
export function chartSummary(props: MetricChartProps): string {
  const values = props.lines.map((line) => `${line.label} ${readLine(line, null, props)}`);
  return `${props.title}, ${props.unit}: ${values.join(', ')}`;
}
