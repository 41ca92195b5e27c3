import type { Figure } from '@moraine/contract/experiments';
import { digits } from '../lib/format.js';

/** A number with the true minus sign; a dash where there is none. */
export const amount = (value: number | null | undefined, significant = 4): string =>
  digits(value, significant).replace('-', '−');

/** A difference with its sign: +0.0421, −3.130, 0. */
export const change = (value: number): string => (value > 0 ? `+${amount(value)}` : amount(value));

/** `0.4312 ± 0.012`, or the mean alone where there are too few seeds for an interval. */
export const figureText = (figure: Figure | null, write: (value: number) => string = amount): string =>
  figure === null ? '–' : `${write(figure.mean)}${figure.half === null ? '' : ` ± ${amount(figure.half, 2)}`}`;
