import type { Batch } from '@moraine/contract';
import { createRowOrder, type EncodedRow } from '@moraine/data';
import { describe, expect, it } from 'vitest';
import { loadBase } from '../src/index.js';
import { createStepBatches, type StepBatches } from '../src/step-batches.js';
import { writeTinyBase } from './tiny-base.js';

const { config: model } = loadBase(writeTinyBase());
const PAD = 3;
const STEPS = 9;
const BATCH = 6;

/** Every row has tokens and a length of its own, so that a batch says which rows are in it. */
const rows: EncodedRow[] = Array.from({ length: 20 }, (_, row) => {
  const ids = Array.from({ length: 3 + ((row * 7) % 20) }, (_unused, t) => 10 + ((row * 31 + t * 3) % 240));
  return { ids, labels: ids.map((id, t) => (t < 2 ? -100 : id)) };
});

const batchesOf = (packing: boolean, accumulation = 1): StepBatches =>
  createStepBatches({
    rows,
    rowsOf: createRowOrder(rows.length, 5, BATCH),
    steps: STEPS,
    model,
    packing,
    accumulation,
    padId: PAD,
  });

/** The documents of micro-batches, each as ids and labels. */
function documentsIn(batches: readonly Batch[]): string[] {
  const found: string[] = [];
  for (const { batch, time, ids, labels, segments } of batches) {
    for (let row = 0; row < batch; row++) {
      const documents = new Map<number, string[]>();
      for (let at = row * time; at < (row + 1) * time; at++) {
        const segment = segments[at] ?? -1;
        if (segment < 0) continue;
        documents.set(segment, [...(documents.get(segment) ?? []), `${ids[at]}/${labels[at]}`]);
      }
      for (const document of documents.values()) found.push(document.join(' '));
    }
  }
  return found;
}

const written = (row: number): string =>
  (rows[row]?.ids ?? []).map((id, t) => `${id}/${rows[row]?.labels[t]}`).join(' ');

describe.each([
  ['packed', true],
  ['in length buckets', false],
])('the micro-batches of a step, %s,', (_name, packing) => {
  it('hold exactly the rows of the order, whole, whichever epoch they come from', () => {
    const stepBatches = batchesOf(packing);
    const rowsOf = createRowOrder(rows.length, 5, BATCH);
    for (let step = 1; step <= STEPS; step++) {
      const wanted = rowsOf(step).map(written).sort();
      expect(documentsIn(stepBatches.at(step).batches).sort()).toEqual(wanted);
    }
  });

  it('are the same numbers in the same places for a run that begins in the middle', () => {
    const whole = batchesOf(packing);
    const all = Array.from({ length: STEPS }, (_, i) => whole.at(i + 1));
    const resumed = batchesOf(packing);
    expect(resumed.shapes).toEqual(whole.shapes);
    for (let step = 5; step <= STEPS; step++) expect(resumed.at(step)).toEqual(all[step - 1]);
  });

  it('have the shapes that were said before the first step', () => {
    const stepBatches = batchesOf(packing);
    const known = new Set(stepBatches.shapes.map(({ batch, time }) => `${batch} x ${time}`));
    for (let step = 1; step <= STEPS; step++)
      for (const { batch, time } of stepBatches.at(step).batches) expect(known).toContain(`${batch} x ${time}`);
  });

  it('in three parts hold the same rows, and no part is larger than the whole was', () => {
    const whole = batchesOf(packing);
    const inParts = batchesOf(packing, 3);
    const largest = (batches: readonly { batch: number; time: number }[]) =>
      Math.max(...batches.map(({ batch, time }) => batch * time));
    expect(largest(inParts.shapes)).toBeLessThan(largest(whole.shapes));
    for (let step = 1; step <= STEPS; step++) {
      expect(documentsIn(inParts.at(step).batches).sort()).toEqual(documentsIn(whole.at(step).batches).sort());
    }
  });

  it('count the tokens of their rows without padding', () => {
    const stepBatches = batchesOf(packing);
    const rowsOf = createRowOrder(rows.length, 5, BATCH);
    for (let step = 1; step <= STEPS; step++) {
      const tokens = rowsOf(step).reduce((sum, row) => sum + (rows[row]?.ids.length ?? 0), 0);
      expect(stepBatches.at(step).tokens).toBe(tokens);
    }
  });
});

it('packing puts several short rows into one sequence, length buckets put one', () => {
  const sequences = (packing: boolean): number =>
    Math.max(
      ...batchesOf(packing)
        .at(1)
        .batches.flatMap(({ segments }) => [...segments]),
    );
  expect(sequences(false)).toBe(0);
  expect(sequences(true)).toBeGreaterThan(0);
});

it('rows of one length stand in the batches in the order of the step', () => {
  const equal: EncodedRow[] = rows.map((_row, row) => {
    const ids = Array.from({ length: 8 }, (_unused, t) => 10 + row * 8 + t);
    return { ids, labels: ids };
  });
  const rowsOf = createRowOrder(equal.length, 5, BATCH);
  const options = { rows: equal, rowsOf, steps: STEPS, model, packing: false, accumulation: 1, padId: PAD };
  const stepBatches = createStepBatches(options);
  for (let step = 1; step <= STEPS; step++) {
    const first = stepBatches
      .at(step)
      .batches.flatMap(({ ids, segments }) => [...ids].filter((_id, at) => at % 8 === 0 && (segments[at] ?? -1) >= 0));
    expect(first.map((id) => (id - 10) / 8)).toEqual(rowsOf(step));
  }
});
