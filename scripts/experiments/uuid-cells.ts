/** Cells of the experiment: one training run each, a line of cells.jsonl when it is finished. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  FINAL_SEEDS,
  FINAL_STEPS,
  FIRST_RATES,
  GRID_SEED,
  GRID_STEPS,
  METHODS,
  type MethodName,
  RATES,
} from './uuid-config.js';
import type { Recall } from './uuid-data.js';

export interface CellPlan {
  phase: 'grid' | 'final';
  method: MethodName;
  learningRate: number;
  seed: number;
  steps: number;
}

export interface Cell extends CellPlan {
  /** Trained numbers. */
  trainable: number;
  /** What was recalled after a step. */
  recall: Record<string, Recall>;
  /** Mean training loss over the last ten steps, nats a character; null when the run diverged. */
  loss: number | null;
  /** Why the run ended early: the message of the trainer's error. */
  diverged?: string;
  seconds: number;
  device: string;
  threads: number;
}

const accuracyOf = (cell: Cell): number =>
  cell.diverged === undefined ? (cell.recall[cell.steps]?.characters ?? -1) : -1;

/** Accuracy at the cell's end decides, then the loss. */
export function isBetter(a: Cell, b: Cell): boolean {
  const difference = accuracyOf(a) - accuracyOf(b);
  return difference === 0
    ? (a.loss ?? Number.POSITIVE_INFINITY) < (b.loss ?? Number.POSITIVE_INFINITY)
    : difference > 0;
}

export type GridState = { next: number } | { best: Cell };

/** The next learning rate to try, or the best one, which then has a worse neighbour on both sides (unless the ladder ends). */
export function gridState(method: MethodName, cells: readonly Cell[]): GridState {
  const tried = cells.filter((cell) => cell.phase === 'grid' && cell.method === method);
  const isTried = (rate: number): boolean => tried.some(({ learningRate }) => learningRate === rate);
  const missing = FIRST_RATES[method].find((rate) => !isTried(rate));
  if (missing !== undefined) return { next: missing };
  const best = tried.reduce((a, b) => (isBetter(b, a) ? b : a));
  const at = RATES.indexOf(best.learningRate);
  const neighbour = [RATES[at - 1], RATES[at + 1]].find((rate) => rate !== undefined && !isTried(rate));
  return neighbour === undefined ? { best } : { next: neighbour };
}

/** The next cell to run: first every method's learning rates, then the final runs, seed by seed; null when all are there. */
export function nextCell(cells: readonly Cell[]): CellPlan | null {
  const best = new Map<MethodName, number>();
  for (const method of METHODS) {
    const state = gridState(method, cells);
    if ('next' in state) {
      return { phase: 'grid', method, learningRate: state.next, seed: GRID_SEED, steps: GRID_STEPS };
    }
    best.set(method, state.best.learningRate);
  }
  for (const seed of FINAL_SEEDS) {
    for (const method of METHODS) {
      if (cells.some((cell) => cell.phase === 'final' && cell.method === method && cell.seed === seed)) continue;
      return { phase: 'final', method, learningRate: best.get(method) ?? Number.NaN, seed, steps: FINAL_STEPS };
    }
  }
  return null;
}

/** The finished cells. A last line that a kill cut short is taken out of the file: its cell is run again. */
export function readCells(file: string): Cell[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole !== text) writeFileSync(file, whole);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Cell);
}

export function appendCell(file: string, cell: Cell): void {
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `${JSON.stringify(cell)}\n`);
}

/**
 * Stores the configuration beside the cells, or compares it with the one that is there: cells of two configurations are never mixed.
 * @throws Error that names both files' difference and what to do.
 */
export function keepConfig(file: string, config: Readonly<Record<string, unknown>>): void {
  const text = `${JSON.stringify(config, null, 2)}\n`;
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return;
  }
  const stored = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const keys = [...new Set([...Object.keys(stored), ...Object.keys(config)])];
  const different = keys.filter((key) => JSON.stringify(stored[key]) !== JSON.stringify(config[key]));
  if (different.length === 0) return;
  throw new Error(
    `${file} was written by another configuration (${different.join(', ')}). Move its folder away, or give --out another one.`,
  );
}
