import { describe, expect, test } from 'vitest';
import {
  AnalysisCourse,
  canariesCourse,
  coursePanels,
  type MeasuredWeight,
  renderCourse,
  summariseCanaries,
  weightsCourse,
} from '../src/analyses/index.js';

const figures = (rank_90: number) => ({
  rank_90,
  stable_rank: 4,
  overlap: { k: 2, left: 0.4, right: 0.2 },
  cosines: [0.1, 0.9],
  intruders: 1,
});

const rowOf = (layer: string, rank: number): MeasuredWeight => ({
  source: 'run',
  step: null,
  layer,
  module: layer.split('.').at(-1) ?? '',
  shape: [4, 4],
  lambda: 1,
  from: 'factors',
  norm: 6,
  relative_norm: rank / 100,
  epsilon: 0.5,
  ...figures(rank),
  control: { ...figures(30), stable_rank: 9 },
});

const head = {
  run_id: 'ftjob-1',
  ask: { kind: 'weights' as const, layers: null, k: 2, epsilon: 0.5, seed: 0 },
  lambda: 1,
  analyses: [
    { id: 'analysis_a', step: 2 },
    { id: 'analysis_b', step: 4 },
  ],
  waiting: 0,
  others: [],
};
const layer = (block: number, module = 'q_proj') => `model.layers.${block}.self_attn.${module}`;

describe('the course of an update', () => {
  const course = weightsCourse(head, [
    { step: 2, rows: [rowOf(layer(0), 1), rowOf(layer(1), 3), rowOf('lm_head', 7)] },
    // A layer that the first analysis did not have.
    { step: 4, rows: [rowOf(layer(0), 5), rowOf(layer(1), 7), rowOf(layer(0, 'v_proj'), 9), rowOf('lm_head', 7)] },
  ]);

  test('is a series a layer and a mean over layers a module, each beside its control', () => {
    expect(AnalysisCourse.parse(course)).toEqual(course);
    expect(course.layers.map((one) => [one.layer, one.depth, one.points.map(({ step }) => step)])).toEqual([
      [layer(0), 0, [2, 4]],
      [layer(1), 1, [2, 4]],
      ['lm_head', null, [2, 4]],
      [layer(0, 'v_proj'), 0, [4]],
    ]);
    const [q] = course.modules;
    expect(q?.layers).toBe(2);
    expect(q?.points.map(({ step, figures: own }) => [step, own.rank_90, own.relative_norm])).toEqual([
      [2, 2, expect.closeTo(0.02, 12)],
      [4, 6, expect.closeTo(0.06, 12)],
    ]);
    // σ₁ = ‖ΔW‖ / √(stable rank): 6 / √4, and of the control 6 / √9.
    expect(q?.points[0]).toMatchObject({
      figures: { largest_singular_value: 3 },
      control: { largest_singular_value: 2, rank_90: 30 },
    });
  });

  test('is drawn over training and, of the last step, over blocks, with the control dashed', () => {
    const { training, layers } = coursePanels(course);
    const rank = training[0]?.series.filter(({ color }) => color === training[0]?.series[0]?.color);
    expect(rank?.map(({ label, line, points }) => [label, line, points.map(({ x, y }) => [x, y])])).toEqual([
      ['q_proj', 'solid', [[2, 2], [4, 6]]], // biome-ignore format: one line
      ['', 'dashed', [[2, 30], [4, 30]]], // biome-ignore format: one line
    ]);
    expect(layers[0]?.title).toBe('rank-90 over layers, step 4');
    expect(layers[0]?.series.map(({ points }) => points.map(({ x, y }) => [x, y]))).toEqual(
      [[[0, 5], [1, 7]], [[0, 30], [1, 30]], [], [], [[0, 9]], [[0, 30]]], // biome-ignore format: one line
    );
    // The control has the norm of the update: there is nothing to compare.
    expect(training[2]?.series.every(({ line }) => line === 'solid')).toBe(true);
    expect(renderCourse(course, 'svg', 'ftjob-1')).toContain('<title>q_proj, step 2: 2</title>');
  });

  test('is a row a layer and step as CSV, and a mean a step with the control in brackets as Markdown', () => {
    const csv = renderCourse(course, 'csv', '').split('\r\n');
    expect(csv[0]?.split(',').slice(0, 6)).toEqual(['step', 'layer', 'module', 'block', 'rank_90', 'stable_rank']);
    expect(csv[1]).toBe(`2,${layer(0)},q_proj,0,1,4,0.01,3,0.4,0.2,1,30,9,2,0.4,0.2,1`);
    expect(csv.filter((line) => line !== '')).toHaveLength(8);
    expect(renderCourse(course, 'md', '')).toContain(
      '| q_proj | 2 | 4 | 6 (30) | 4 (9) | 0.06 | 3 (2) | 0.4 (0.4) | 0.2 (0.2) | 1 (1) |',
    );
  });

  test('of one step is drawn over blocks alone, of one block over training alone', () => {
    const [first] = head.analyses;
    const one = { ...head, analyses: first ? [first] : [] };
    const countsOf = (rows: MeasuredWeight[]) => {
      const { training, layers } = coursePanels(weightsCourse(one, [{ step: 2, rows }]));
      return [training.length, layers.length];
    };
    expect(countsOf([rowOf(layer(0), 1), rowOf(layer(1), 3)])).toEqual([0, 7]);
    expect(countsOf([rowOf(layer(0), 1)])).toEqual([7, 0]);
  });

  test('of nothing says so in every form', () => {
    const none = weightsCourse({ ...head, ask: null, lambda: null, analyses: [] }, []);
    expect(coursePanels(none)).toEqual({ training: [], layers: [] });
    expect(renderCourse(none, 'md', '')).toBe('Nothing is measured yet.\n');
    expect(renderCourse(none, 'svg', 'x')).toContain('Nothing is measured yet.');
    expect(renderCourse(none, 'csv', '').trimEnd().split('\r\n')).toHaveLength(1);
  });
});

test('the course of canaries has exposure with its interval over steps, between chance and ceiling', () => {
  const row = { log_probability: -1, candidates: 256, answer: '', characters: 0.5, is_extracted: false };
  const summaryOf = (exposures: number[]) =>
    summariseCanaries([
      ...exposures.map((exposure, i) => ({ ...row, id: `p-${i}`, is_planted: true, rank: 1, exposure })),
      { ...row, id: 'c-0', is_planted: false, rank: 128, exposure: 1 },
    ]);
  const course = canariesCourse({ ...head, ask: { kind: 'canaries', file: 'file-1' } }, [
    { step: 0, summary: summaryOf([1, 2, 3]) },
    { step: 4, summary: summaryOf([7, 7, 7]) },
  ]);
  expect(AnalysisCourse.parse(course)).toEqual(course);
  const [exposure] = coursePanels(course).training;
  expect(exposure?.series.map(({ label, points }) => [label, points.map(({ x, y }) => [x, y])])).toEqual([
    ['planted', [[0, 2], [4, 7]]], // biome-ignore format: one line
    ['never seen', [[0, 1], [4, 1]]], // biome-ignore format: one line
    ['ceiling', [[0, 8], [4, 8]]], // biome-ignore format: one line
    ['chance', [[0, expect.closeTo(1.42, 2)], [4, expect.closeTo(1.42, 2)]]], // biome-ignore format: one line
  ]);
  // Student's t of 2 degrees of freedom, 4.3027, times 1 / √3.
  expect(exposure?.bands?.[0]?.points[0]).toMatchObject({
    low: expect.closeTo(2 - 2.4841, 3),
    high: expect.closeTo(2 + 2.4841, 3),
  });
  expect(renderCourse(course, 'md', '')).toMatch(/^\| 0, the base \| planted \| 3 \| 2 ± 2\.484 \| 0 \[/m);
  expect(renderCourse(course, 'csv', '').split('\r\n')[1]).toMatch(/^0,planted,3,2,2\.48/);
});
