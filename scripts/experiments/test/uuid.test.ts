import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Batch } from '@moraine/contract';
import { afterAll, describe, expect, test } from 'vitest';
import { appendCell, type Cell, gridState, keepConfig, nextCell, readCells } from '../uuid-cells.js';
import {
  DIGITS,
  FINAL_SEEDS,
  FIRST_RATES,
  GRID_SEED,
  METHODS,
  type MethodName,
  RATES,
  ROWS_PER_BATCH,
} from '../uuid-config.js';
import { decodeAll, drawPairs, encodePair, pairsHash, ROW_TOKENS, readAlphabet, stepRows } from '../uuid-data.js';
import { accuracyAfter, orderText, uuidPlot, uuidReport } from '../uuid-report.js';

const folder = mkdtempSync(path.join(tmpdir(), 'moraine-uuid-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const tokenizer = readFileSync(
  fileURLToPath(new URL('../../../examples/base/tokenizer.json', import.meta.url)),
  'utf8',
);

function cell(phase: 'grid' | 'final', method: MethodName, learningRate: number, seed: number, end: number): Cell {
  const steps = phase === 'grid' ? 400 : 1000;
  return {
    ...{
      phase,
      method,
      learningRate,
      seed,
      steps,
      trainable: 48_800,
      loss: 1,
      seconds: 60,
      device: 'test',
      threads: 1,
    },
    recall: { [steps]: { characters: end, answers: end / 2 } },
  };
}

describe('the data', () => {
  const pairs = drawPairs();

  test('a thousand pairs of eight hexadecimal digits, no key twice, always the same', () => {
    expect(new Set(pairs.map(({ key }) => key)).size).toBe(1000);
    for (const { key, value } of pairs) expect(`${key} ${value}`).toMatch(/^[0-9a-f]{8} [0-9a-f]{8}$/);
    expect(pairsHash(drawPairs())).toBe(pairsHash(pairs));
    expect(pairsHash(drawPairs(1000, 1))).not.toBe(pairsHash(pairs));
  });

  test('every character is one token of the base, and only the value is supervised', () => {
    const { ids, labels } = encodePair({ key: '01234567', value: '89abcdef' }, readAlphabet(tokenizer));
    expect(ids).toHaveLength(ROW_TOKENS);
    expect(new Set(ids).size).toBe(ROW_TOKENS);
    expect(labels.slice(0, -DIGITS)).toEqual(Array.from({ length: ROW_TOKENS - DIGITS }, () => -100));
    expect(labels.slice(-DIGITS)).toEqual(ids.slice(-DIGITS));
  });

  test('ten batches show every row once, and each epoch and seed in another order', () => {
    const epoch = (first: number, seed: number): number[] =>
      Array.from({ length: 10 }, (_, i) => stepRows(first + i, seed, 1000)).flat();
    expect([...epoch(1, 5)].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(epoch(11, 5)).not.toEqual(epoch(1, 5));
    expect(epoch(1, 6)).not.toEqual(epoch(1, 5));
    expect(epoch(1, 5)).toEqual(epoch(1, 5));
  });
});

describe('decoding by teacher-forced passes', () => {
  const alphabet = readAlphabet(tokenizer);
  const rows = drawPairs(130).map((pair) => encodePair(pair, alphabet));
  const start = ROW_TOKENS - DIGITS;
  const digit = [...alphabet.digits.values()];

  /** A made-up model whose next token depends on everything before it: a wrong token changes all that follow. */
  const predict = (before: readonly number[]): number =>
    digit[before.reduce((sum, id, i) => (sum * 31 + id * (i + 7)) % 1009, 3) % 3 === 0 ? 1 : 0] ?? 0;
  const best = (batch: Batch): Int32Array => {
    expect([batch.batch, batch.time]).toEqual([ROWS_PER_BATCH, ROW_TOKENS]);
    const found: number[] = [];
    for (let row = 0; row < batch.batch; row += 1) {
      const ids = [...batch.ids.subarray(row * batch.time, (row + 1) * batch.time)];
      for (let i = start; i < ROW_TOKENS; i += 1) found.push(predict(ids.slice(0, i)));
    }
    return Int32Array.from(found);
  };

  test('it writes what decoding token by token writes', () => {
    // Values of which a part is what the made-up model says, so that prefixes of all lengths agree.
    const mixed = rows.map(({ ids, labels }, row) => {
      const made = [...ids];
      for (let i = start; i < ROW_TOKENS; i += 1) {
        if ((row + i) % 5 !== 0) made[i] = predict(made.slice(0, i));
      }
      return { ids: made, labels: labels.map((label, i) => (label < 0 ? label : (made[i] ?? 0))) };
    });
    let right = 0;
    let whole = 0;
    for (const { ids, labels } of mixed) {
      const written = ids.slice(0, start);
      while (written.length < ROW_TOKENS) written.push(predict(written));
      const same = written.filter((id, i) => i >= start && id === labels[i]).length;
      right += same;
      whole += same === DIGITS ? 1 : 0;
    }
    expect(right / (130 * DIGITS)).toBeGreaterThan(0.2);
    expect(decodeAll(mixed, best)).toEqual({
      characters: (100 * right) / (130 * DIGITS),
      answers: (100 * whole) / 130,
    });
  });

  test('a model that knows every answer is asked once a batch', () => {
    let passes = 0;
    const found = decodeAll(rows, (batch) => {
      passes += 1;
      return batch.labels.filter((label) => label >= 0);
    });
    expect(found).toEqual({ characters: 100, answers: 100 });
    expect(passes).toBe(2);
  });
});

describe('which cell is next', () => {
  /** Runs the plan with a made-up result until nothing is left. */
  function runAll(end: (method: MethodName, rate: number) => number): Cell[] {
    const cells: Cell[] = [];
    for (let plan = nextCell(cells); plan !== null; plan = nextCell(cells)) {
      cells.push(cell(plan.phase, plan.method, plan.learningRate, plan.seed, end(plan.method, plan.learningRate)));
      if (cells.length > 100) throw new Error('it does not end');
    }
    return cells;
  }
  const peak = (at: number) => (rate: number) => 80 - 10 * Math.abs(Math.log10(rate / at));

  test('every method gets its four rates, then three seeds at its best, seed by seed', () => {
    const cells = runAll((method, rate) => peak(FIRST_RATES[method][1] ?? 0)(rate));
    expect(cells.filter(({ phase }) => phase === 'grid')).toHaveLength(16);
    const finals = cells.filter(({ phase }) => phase === 'final');
    expect(finals.map(({ seed }) => seed)).toEqual(FINAL_SEEDS.flatMap((seed) => METHODS.map(() => seed)));
    expect(new Set(finals.map(({ method, learningRate }) => `${method} ${learningRate}`)).size).toBe(4);
    expect(FINAL_SEEDS).not.toContain(GRID_SEED);
  });

  test('a search whose best rate lies at an end goes on there until it has passed the best', () => {
    const cells = runAll((method, rate) => peak(method === 'lora' ? 5.5e-2 : (FIRST_RATES[method][1] ?? 0))(rate));
    const tried = cells.filter(({ phase, method }) => phase === 'grid' && method === 'lora');
    expect(tried.map(({ learningRate }) => learningRate).slice(4)).toEqual([1.75e-2, 3e-2, 5.5e-2, 1e-1]);
    expect(gridState('lora', cells)).toMatchObject({ best: { learningRate: 5.5e-2 } });
  });

  test('the first rates are neighbours, and one that diverged is never the best', () => {
    for (const method of METHODS) {
      const first = RATES.indexOf(FIRST_RATES[method][0] ?? 0);
      expect(RATES.slice(first, first + 4)).toEqual(FIRST_RATES[method]);
    }
    const cells = FIRST_RATES['mora-6'].map((rate, i) => cell('grid', 'mora-6', rate, GRID_SEED, i === 1 ? 0 : 90));
    const broken = cells.map((one, i) => (i === 1 ? one : { ...one, loss: null, diverged: 'nan' }));
    expect(gridState('mora-6', broken)).toMatchObject({ best: { learningRate: 3e-3 } });
  });

  test('equal accuracy is settled by the lower loss', () => {
    const cells = FIRST_RATES.full.map((rate, i) => ({
      ...cell('grid', 'full', rate, GRID_SEED, 100),
      loss: i === 2 ? 0.1 : 1,
    }));
    expect(gridState('full', cells)).toMatchObject({ best: { learningRate: 1e-3 } });
  });
});

describe('an interrupted experiment', () => {
  test('finished cells are read again, and one that a kill cut short is run again', () => {
    const file = path.join(folder, 'a', 'cells.jsonl');
    expect(readCells(file)).toEqual([]);
    const [one, two] = [cell('grid', 'lora', 3e-3, 0, 20), cell('grid', 'lora', 1e-2, 0, 30)];
    appendCell(file, one);
    appendCell(file, two);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.slice(0, -9));
    expect(readCells(file)).toEqual([one]);
    appendCell(file, two);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  test('cells of another configuration are refused by the name of what differs', () => {
    const file = path.join(folder, 'b', 'config.json');
    keepConfig(file, { base: 'x', rank: 4 });
    keepConfig(file, { base: 'x', rank: 4 });
    expect(() => keepConfig(file, { base: 'y', rank: 4 })).toThrow(/another configuration \(base\)/);
  });
});

describe('the report', () => {
  const finals = [91.8, 92, 92.2].map((end, i) => cell('final', 'mora-6', 3e-3, i + 1, end));

  test('the interval is Student’s: 2.484 standard deviations for three seeds', () => {
    const found = accuracyAfter(finals, 'mora-6', 1000);
    expect(found?.mean).toBeCloseTo(92, 6);
    expect(found?.half).toBeCloseTo(2.4843 * 0.2, 3);
    expect(accuracyAfter(finals, 'lora', 1000)).toBeNull();
    // Fewer than three seeds have none.
    expect(accuracyAfter(finals.slice(1), 'mora-6', 1000)?.half).toBeNull();
  });

  test('the order is told by means, and a difference by seed whose interval holds 0 is not called an order', () => {
    const all = [
      ...finals,
      ...[74, 83, 81].map((end, i) => cell('final', 'lora', 3e-3, i + 1, end)),
      ...[87.2, 87.3, 86.9].map((end, i) => cell('final', 'mora-1', 1e-3, i + 1, end)),
      ...[99.8, 99.7, 99.9].map((end, i) => cell('final', 'full', 1e-3, i + 1, end)),
    ];
    expect(orderText(all.slice(0, -1))).toBe('Not all final runs are there yet.');
    expect(orderText(all)).toContain('full 99.8 > MoRA 6 (r=4) 92.0 > MoRA 1 (r=4) 87.1 ≈ LoRA r=4 79.3');
    // By hand: 13.2, 4.3 and 5.9 have the mean 7.8 and the standard deviation 4.744; 4.3027 · 4.744 / √3 = 11.8.
    expect(orderText(all)).toContain('MoRA 1 (r=4) − LoRA r=4 7.8 ± 11.8.');
  });

  test('table and plot are written from whatever is there', () => {
    for (const cells of [[], finals]) {
      const facts = { baseHash: 'f9af', parameters: 1_120_640 };
      expect(uuidReport(cells, facts)).toContain('| MoRA 6 (r=4) |');
      const svg = uuidPlot(cells);
      expect(svg.startsWith('<svg ')).toBe(true);
      expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    }
    expect(uuidReport(finals, { baseHash: '', parameters: 1 })).toContain('92.0 ± 0.5');
    expect(uuidPlot(finals)).toMatch(/<title>MoRA 6 \(r=4\), \d+: 92\.0 %<\/title>/);
  });
});
