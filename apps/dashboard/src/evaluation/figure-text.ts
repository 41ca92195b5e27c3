import type { EvaluationFigure } from '@moraine/contract/suites';
import { metricOf } from '@moraine/contract/suites';
import { digits, percent } from '../lib/format.js';

/** A value of a figure in its unit: 42.3 %, 1.532. */
export const figureValue = (name: string, value: number): string =>
  metricOf(name)?.unit === 'share' ? percent(value, 1) : digits(value, 4);

/** A difference of a figure with its sign: +2.1 points, −0.013. */
export function figureDifference(name: string, value: number): string {
  const sign = value > 0 ? '+' : value < 0 ? '−' : '';
  const size = Math.abs(value);
  return metricOf(name)?.unit === 'share' ? `${sign}${(size * 100).toFixed(1)} points` : `${sign}${digits(size, 4)}`;
}

/** `31.0 – 44.2 %`; a dash where there is none. */
export function intervalText(name: string, interval: EvaluationFigure['interval']): string {
  if (!interval) return '–';
  const [low, high] = interval;
  return metricOf(name)?.unit === 'share'
    ? `${(low * 100).toFixed(1)} – ${percent(high, 1)}`
    : `${digits(low, 4)} – ${digits(high, 4)}`;
}

/** Whether a difference is for the better, for the worse, or not told apart from none by its interval. */
export function directionOf(name: string, [low, high]: readonly [number, number]): 'better' | 'worse' | 'none' {
  if (low <= 0 && high >= 0) return 'none';
  return low > 0 === (metricOf(name)?.isHigherBetter ?? true) ? 'better' : 'worse';
}
