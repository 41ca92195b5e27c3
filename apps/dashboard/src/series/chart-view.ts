import type { Range } from './range.js';

/** Half-lives of the smoothing slider as shares of the run's steps. Of the whole run, so that no zoom changes a curve. */
export const HALF_LIVES = [0, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08] as const;
const SMOOTHING_PRESET = 3;

/** How the charts are looked at. It lives in the URL: `?smooth=4&log=1&outliers=ignored&steps=100-400`. */
export interface ChartView {
  /** Index into HALF_LIVES. */
  smoothing: number;
  isLog: boolean;
  ignoreOutliers: boolean;
  window: Range | null;
}

export function readChartView(params: URLSearchParams): ChartView {
  const smoothing = Number(params.get('smooth') ?? SMOOTHING_PRESET);
  const steps = /^(\d{1,9})-(\d{1,9})$/.exec(params.get('steps') ?? '');
  const window: Range | null = steps ? [Number(steps[1]), Number(steps[2])] : null;
  return {
    smoothing:
      Number.isInteger(smoothing) && smoothing >= 0 && smoothing < HALF_LIVES.length ? smoothing : SMOOTHING_PRESET,
    isLog: params.get('log') === '1',
    ignoreOutliers: params.get('outliers') === 'ignored',
    window: window && window[1] > window[0] ? window : null,
  };
}
