import { describe, expect, it } from 'vitest';
import { createResultCsv } from '../src/result-csv.js';

const HEADER = 'step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n';
const lineOf = (step: number, valid: { loss: number; tokenAccuracy: number } | null = null) => ({
  step,
  trainLoss: 1 / step,
  trainAccuracy: 0.5,
  valid,
});

describe('the result file', () => {
  it('has the columns of the OpenAI API and nothing else before the first step', () => {
    expect(createResultCsv().text()).toBe(HEADER);
  });

  it('leaves the validation columns empty where no validation ran', () => {
    const csv = createResultCsv();
    csv.add(lineOf(1));
    csv.add(lineOf(2, { loss: 0.25, tokenAccuracy: 0.75 }));
    expect(csv.text()).toBe(`${HEADER}1,1,0.5,,\n2,0.5,0.5,0.25,0.75\n`);
  });

  it('writes seven digits', () => {
    const csv = createResultCsv();
    csv.add(lineOf(3));
    csv.add({ step: 4, trainLoss: 12_345_678.9, trainAccuracy: 1e-9, valid: null });
    expect(csv.text()).toBe(`${HEADER}3,0.3333333,0.5,,\n4,12345680,1e-9,,\n`);
  });

  it('goes on from the text of a checkpoint as if it had not been interrupted', () => {
    const whole = createResultCsv();
    for (const step of [1, 2, 3, 4]) whole.add(lineOf(step));
    const first = createResultCsv();
    for (const step of [1, 2]) first.add(lineOf(step));
    const rest = createResultCsv(first.text());
    for (const step of [3, 4]) rest.add(lineOf(step));
    expect(rest.text()).toBe(whole.text());
  });

  it('can be read at any step and goes on', () => {
    const csv = createResultCsv();
    csv.add(lineOf(1));
    const early = csv.text();
    csv.add(lineOf(2));
    expect(csv.text().startsWith(early)).toBe(true);
    expect(csv.text().split('\n')).toHaveLength(4);
  });
});
