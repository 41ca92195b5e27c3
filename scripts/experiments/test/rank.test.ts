import { weightsCourse } from '@moraine/contract/analyses';
import { expect, test } from 'vitest';
import { type RankRun, rankCsv, rankMarkdown, rankSvg } from '../papers/rank.js';

const STEPS = [50, 100];

/** A run of two blocks, of whose layers the rank is what is given at a block, kind and step. */
function runOf(arm: string, seed: number, rankAt: (block: number, module: string, step: number) => number): RankRun {
  const head = { run_id: `${arm}-${seed}`, ask: null, lambda: 1, waiting: 0, others: [] };
  const figures = { stable_rank: 4, overlap: null, cosines: [], intruders: 0 };
  const rowsAt = (step: number) =>
    [0, 1, 2].flatMap((block) =>
      ['q_proj', 'up_proj'].map((module) => ({
        ...{ source: 'run', step, layer: `model.layers.${block}.x.${module}`, module, lambda: 1, norm: 2 },
        ...{ shape: [9, 9] as [number, number], from: 'matrix' as const, relative_norm: 0.1, epsilon: 0.5 },
        ...{ ...figures, rank_90: rankAt(block, module, step), control: { ...figures, rank_90: 60 } },
      })),
    );
  const analyses = STEPS.map((step) => ({ id: `${arm}-${seed}-${step}`, step }));
  const steps = STEPS.map((step) => ({ step, rows: rowsAt(step) }));
  return { arm, color: 'lora', seed, course: weightsCourse({ ...head, analyses }, steps) };
}

const arm = (name: string, seeds: readonly number[], rankAt: Parameters<typeof runOf>[2]): RankRun[] =>
  seeds.map((seed) => runOf(name, seed, (...at) => rankAt(...at) + (seed === 2 ? 0.3 : 0)));
const seeds = [2, 3, 4];

test('claims of the paper are judged by differences paired by seed', () => {
  const runs = [
    ...arm('lora r4', seeds, () => 4),
    // Fuller with every step, more in MLPs, and most in the middle block; 35 on average at the last step, less than ten times 4.
    ...seeds.map((seed) =>
      runOf('full', seed, (block, module, step) => {
        const share = 1 + seed / 100;
        return 19 + share * (step / 10 + (module === 'up_proj' ? 6 : 0) + (block === 1 ? 6 : 0));
      }),
    ),
    ...arm('mora-1 r4', [2, 3], () => 13),
    // Less than LoRA with one seed, more with another.
    ...seeds.map((seed) => runOf('mora-6 r4', seed, () => [4, 5, 3.5][seed - 2] ?? 0)),
  ];
  const lines = rankMarkdown(runs)
    .split('\n')
    .filter((line) => line.startsWith('- '));
  expect(lines.map((line) => line.replace(/ \(.*?\)/, ''))).toEqual([
    "- Did not hold: full fine-tuning's rank-90 is at least ten times LoRA's of rank 4 at step 100.",
    "- Held: full fine-tuning's rank-90 is higher at step 100 than at step 50.",
    "- Held: full fine-tuning's rank-90 is higher in MLP layers than in attention.",
    "- Held: full fine-tuning's rank-90 is lower in the first and the last block than between.",
    "- Held: full fine-tuning's rank-90 is below that of normal numbers of the same norm.",
    "- Not decided by 2 seeds: mora-1's rank-90 is above that of LoRA with as many parameters.",
    "- Open: mora-6's rank-90 is above that of LoRA with as many parameters.",
  ]);
  expect(lines[1]).toContain('(difference 5.15 ± ');
});

test('the table has a mean over layers and seeds beside the control, the rows are all there, and the figure names every arm', () => {
  const runs = arm('full', seeds, (block, _module, step) => step + block);
  // Blocks 0, 1 and 2, and 0.3 of one of three seeds: 50 + 1 + 0.1.
  expect(rankMarkdown(runs)).toMatch(/^\| full \| attention \| 50 \| 51\.1 ± [\d.]+ \(60\) \| 4 /m);
  expect(rankMarkdown(runs)).toContain('- Not measured: mora-1');
  const rows = rankCsv(runs).trim().split('\r\n');
  expect(rows).toHaveLength(1 + 3 * 2 * 6);
  expect(rows[1]).toBe('full,2,full-2,50,model.layers.0.x.q_proj,q_proj,0,50.3,4,1,0.1,60,4,1');
  const svg = rankSvg(runs);
  expect(svg).toContain('rank-90 of MLP over training');
  expect(svg).toContain('rank-90 of attention over blocks, step 100');
  expect(svg).toContain('<title>full, block 2: 102.1 ± ');
});

test('runs that have measured nothing claim nothing', () => {
  const none = weightsCourse({ run_id: 'a', ask: null, lambda: null, analyses: [], waiting: 0, others: [] }, []);
  const runs = [{ arm: 'full', color: 'full', seed: 2, course: none }];
  expect(rankMarkdown(runs).match(/^- Not measured/gm)).toHaveLength(7);
  expect(rankSvg(runs)).toMatch(/^<svg/);
});
