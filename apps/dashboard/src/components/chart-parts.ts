import type { ReactNode } from 'react';
import type { Line } from '../series/lines.js';
import type { Range } from '../series/range.js';

export type ChartColor = `--method-${string}` | '--series-valid' | '--text-weak';

export interface ChartLine {
  label: string;
  color: ChartColor;
  line: Line;
  look: 'solid' | 'faint' | 'dots' | 'dashed';
  /** What the line says at a step, or newest; the value that is drawn there where it is absent. */
  read?: (step: number | null) => string;
}

/** A mark on the step axis: a restart, a checkpoint, or a step at which a value was no number. */
export interface Marker {
  step: number;
  kind: 'restart' | 'checkpoint' | 'gap';
}

export interface MetricChartProps {
  title: string;
  unit: string;
  lines: readonly ChartLine[];
  markers: readonly Marker[];
  xRange: Range;
  yRange: Range | null;
  isLog: boolean;
  syncKey: string;
  /** The steps that a value at the cursor is of, in words. */
  stepsAt: (step: number) => string;
  /** Said where the chart will be, while there is nothing to draw. */
  empty: ReactNode;
  onZoom: (range: Range | null) => void;
}

/** Lines that one reads: not the limit. */
export const isRead = (line: ChartLine | undefined): boolean => line !== undefined && line.look !== 'dashed';
