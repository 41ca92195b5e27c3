import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { AppError } from '../../src/errors.js';
import { cellKey, cellRequest, ExperimentRequest, planExperiment } from '../../src/experiments/index.js';
import { parseModelConfig, resolveAdapter, totalParameters } from '../../src/plan/index.js';
import { CreateRunRequest } from '../../src/run-request.js';
import { parse } from '../../src/validate.js';

const base = parseModelConfig({
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: 1024,
  hidden_size: 128,
  intermediate_size: 344,
  num_hidden_layers: 5,
  num_attention_heads: 4,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
});

const request = (changes: Partial<z.input<typeof ExperimentRequest>> = {}): z.input<typeof ExperimentRequest> => ({
  name: 'methods',
  model: 'tiny',
  training_file: 'file-train',
  evaluation: { validation: 'file-valid', test: 'file-test', source: ['file-source'] },
  arms: [{ adapter: { type: 'lora', rank: 16 } }, { adapter: 'mora-1' }, { adapter: 'mora-6' }, { adapter: 'full' }],
  match: { parameters: 'lora r16' },
  fixed: { max_steps: 40, batch_size: 8 },
  ...changes,
});
const plan = (changes: Partial<z.input<typeof ExperimentRequest>> = {}) =>
  planExperiment({
    spec: parse(ExperimentRequest, request(changes)),
    base,
    rowsOf: () => 256,
    templateDate: '2026-01-01',
  });
const refusal = (changes: Record<string, unknown>): AppError => {
  try {
    plan(changes);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was accepted');
};

describe('a plan', () => {
  test('expands to arms with counts, coverage and rates, and to the cells that start at once', () => {
    const { arms, cells, runs, warnings } = plan();
    expect(arms.map(({ name, label, method }) => [name, label, method])).toEqual([
      ['lora r16', 'lora r16', 'lora'],
      ['mora-1', 'mora type 1 r16', 'mora'],
      ['mora-6', 'mora type 6 r16', 'mora'],
      ['full', 'full', 'none'],
    ]);
    expect(arms[3]?.trainableParameters).toBe(totalParameters(base));
    expect(arms[0]?.coverage).toMatch(/^35 linear layers with an adapter/);
    expect(arms[0]?.rates).toEqual([1e-3, 2e-3, 4e-3]);
    expect(cells).toHaveLength(12);
    expect(runs).toEqual({ least: 24, most: 48 });
    expect(warnings).toEqual([]);
  });

  test('analyses are asked of final runs alone, and of weights alone', () => {
    const evaluation = { validation: 'file-valid', analyses: [{ kind: 'weights' as const, layers: 'q_proj' }] };
    const spec = parse(ExperimentRequest, request({ evaluation }));
    const [arm] = plan().arms;
    if (!arm) throw new Error('no arm');
    const askedIn = (phase: 'search' | 'final') =>
      parse(CreateRunRequest, cellRequest(spec, arm, { arm: arm.name, phase, learning_rate: 1e-3, seed: 1 })).evaluation
        ?.analyses;
    expect(askedIn('final')).toMatchObject([{ kind: 'weights', layers: 'q_proj', when: ['after'] }]);
    expect(askedIn('search')).toBeUndefined();
    const canaries = { kind: 'canaries', file: 'file-1' };
    expect(refusal({ evaluation: { ...evaluation, analyses: [canaries] } }).param).toMatch(
      /^evaluation\.analyses\[0\]/,
    );
  });

  test('the count of an arm is the count that its run would resolve', () => {
    for (const arm of plan().arms) expect(arm.config.trainable_parameters).toBe(arm.trainableParameters);
  });

  test('the request of each cell is one that a run takes; search runs see no test rows', () => {
    const spec = parse(ExperimentRequest, request({ fixed: { n_epochs: 2, optimizer: { weight_decay: 0.1 } } }));
    const { arms } = planExperiment({ spec, base, rowsOf: () => 256, templateDate: '2026-01-01' });
    const of = (phase: 'search' | 'final') => {
      const cell = { arm: 'mora-6', phase, learning_rate: 2e-3, seed: 5 };
      const arm = arms.find(({ name }) => name === cell.arm);
      return parse(CreateRunRequest, arm && cellRequest(spec, arm, cell));
    };
    expect(of('search')).toMatchObject({
      adapter: { type: 'mora', mora_type: 6, rank: 16 },
      optimizer: { learning_rate: 2e-3, weight_decay: 0.1 },
      hyperparameters: { n_epochs: 2 },
      validation_file: 'file-valid',
      seed: 5,
      priority: 40,
      evaluation: { samples: 0, files: [{ file_id: 'file-valid', role: 'target' }] },
    });
    // A dot of the path in the plane for each validation; the rows that are reported are not looked at on the way.
    expect(of('final').evaluation?.files).toEqual([
      { file_id: 'file-valid', role: 'target', during: 'steps' },
      { file_id: 'file-test', role: 'target' },
      { file_id: 'file-source', role: 'source', during: 'steps' },
    ]);
  });

  test.each([
    ['checkpoints', ['checkpoints', undefined, 'checkpoints']],
    ['ends', [undefined, undefined, undefined]],
  ] as const)('points at %s', (points, during) => {
    const { evaluation } = request();
    const spec = parse(ExperimentRequest, request({ evaluation: { ...evaluation, points } }));
    const arm = plan({}).arms[0];
    const cell = { arm: 'lora r16', phase: 'final', learning_rate: 1e-3, seed: 2 } as const;
    const files = arm && parse(CreateRunRequest, cellRequest(spec, arm, cell)).evaluation?.files;
    expect(files?.map((file) => typeof file === 'object' && file.during)).toEqual(during);
  });

  test('an arm may have its own rates and its own rows', () => {
    const { arms, cells } = plan({
      arms: [
        { adapter: 'lora', learning_rates: [1e-3, 2e-3] },
        { name: 'replay', adapter: 'lora', data_mix: [{ file_id: 'file-old', weight: 0.25, role: 'source' }] },
      ],
      match: undefined,
      varies: ['data', 'order', 'tokens'],
    });
    expect(arms.map(({ replayShare }) => replayShare)).toEqual([null, 0.2]);
    expect(cells.filter(({ arm }) => arm === 'lora').map(cellKey)).toEqual([
      'lora/search/0.001/1',
      'lora/search/0.002/1',
    ]);
    expect(arms[1]?.config.data_mix?.map(({ file_id }) => file_id)).toEqual(['file-train', 'file-old']);
  });

  test('says beforehand what will not be comparable', () => {
    const { warnings } = plan({
      match: undefined,
      seeds: { final: [1] },
      arms: [{ adapter: { type: 'lora', rank: 4 }, learning_rates: [1e-3] }, { adapter: { type: 'lora', rank: 8 } }],
    });
    expect(warnings.map((one) => one.split(' ').slice(0, 4).join(' '))).toEqual([
      'lora r8 trains 97,600',
      'lora r4 tries one',
      'one seed says nothing',
    ]);
    const arms = [{ adapter: { type: 'lora', rank: 4 } }, { adapter: { type: 'lora', rank: 8 } }];
    expect(plan({ match: undefined, varies: ['trainable_parameters'], arms }).warnings).toEqual([]);
  });
});

describe('budgets', () => {
  test('every adapter gets the size that comes nearest to the named one; full is exempt', () => {
    const { arms } = plan({
      arms: [
        { name: 'ours', adapter: { type: 'lora', rank: 16 } },
        { adapter: 'mora-6' },
        { adapter: 'miss' },
        { adapter: 'dora' },
        { adapter: 'full' },
      ],
      match: { parameters: 'ours' },
    });
    const wanted = arms[0]?.trainableParameters ?? 0;
    for (const { name, trainableParameters } of arms.slice(0, 4))
      expect(Math.abs(trainableParameters / wanted - 1), name).toBeLessThan(0.05);
    expect(arms[2]?.adapter.rank).toBeGreaterThan(16);
    expect(arms[4]?.trainableParameters).toBeGreaterThan(5 * wanted);
  });

  test.each(['lora', 'dora', 'gralora', 'hira', 'miss', 'pissa', 'oft', 'mora-1', 'mora-2', 'mora-6'] as const)(
    'of %s takes the size whose count is nearest of all',
    (adapter) => {
      for (const wanted of [9_000, 48_800, 300_000]) {
        const { arms } = plan({ arms: [{ adapter, name: 'a' }], match: { parameters: wanted } });
        const [arm] = arms;
        const key = adapter === 'oft' ? 'block_size' : 'rank';
        const counts = Array.from({ length: 1024 }, (_, i) => {
          try {
            return resolveAdapter({ ...arm?.adapter, [key]: i + 1 }, base).trainableParameters;
          } catch {
            return Number.NaN;
          }
        }).filter((count) => !Number.isNaN(count));
        const nearest = Math.min(...counts.map((count) => Math.abs(count - wanted)));
        expect(Math.abs((arm?.trainableParameters ?? 0) - wanted)).toBe(nearest);
      }
    },
  );

  test('a number is a budget', () => {
    const { arms } = plan({ arms: [{ adapter: 'lora' }, { adapter: 'mora-1' }], match: { parameters: 48_800 } });
    expect(arms.map(({ adapter }) => adapter.rank)).toEqual([4, 4]);
  });

  test('an adapter that cannot come near is refused by name, with the counts that it has', () => {
    const error = refusal({
      arms: [{ adapter: { type: 'lora', rank: 1 } }, { adapter: 'oft' }],
      match: { parameters: 'lora r1' },
    });
    expect(error).toMatchObject({ code: 'invalid_value', param: 'match.parameters' });
    expect(error.message).toBe(
      'lora r1 would train 12,200 parameters and oft 8,340, more than 5 % apart; nearest to 12,200, oft has 8,340 at block_size 6 and 19,460 at block_size 7.',
    );
    expect(error.hint).toContain('leave oft out');
  });

  test('where another size of the named arm would do, it is said', () => {
    const error = refusal({
      arms: [{ adapter: { type: 'lora', rank: 8 } }, { adapter: 'mora-6' }],
      match: { parameters: 'lora r8' },
    });
    expect(error.message).toContain('mora-6 has 92,720 at rank 8 and 107,520 at rank 9');
    expect(error.hint).toBe('With rank 9 of lora r8 all come within 5 %.');
    expect(
      plan({
        arms: [{ name: 'l', adapter: { type: 'lora', rank: 9 } }, { adapter: 'mora-6' }],
        match: { parameters: 'l' },
      }).warnings,
    ).toEqual([]);
  });

  test('rows that are trained on, choose and are reported are different ones, whichever key and upload they come by', () => {
    const mix = [
      { file_id: 'file-train', weight: 1 },
      { file_id: 'file-replay', weight: 1, role: 'source' as const },
    ];
    expect(plan({ data_mix: mix }).arms).toHaveLength(4);
    const judged = ['file-valid', 'file-test', 'file-source'];
    for (const [i, file_id] of judged.entries()) {
      const leaking = [...mix, { file_id, weight: 1 }];
      const key = ['validation', 'test', 'source[0]'][i];
      expect(refusal({ data_mix: leaking }).message).toBe(
        `'evaluation.${key}' is '${file_id}', which is data_mix[2].file_id too.`,
      );
      const arms = [{ adapter: 'lora' }, { name: 'other', adapter: 'lora', data_mix: leaking }];
      expect(refusal({ arms, match: undefined, varies: ['data'] }).param).toBe(`evaluation.${key}`);
    }
    const spec = parse(ExperimentRequest, request());
    const copies = (first: string, second: string) => () =>
      planExperiment({
        spec,
        base,
        rowsOf: () => 256,
        contentOf: (id) => (id === second ? first : id),
        templateDate: '2026-01-01',
      });
    expect(copies('file-valid', 'file-test')).toThrow(
      "'evaluation.test' is 'file-test', which holds the rows of 'file-valid', evaluation.validation.",
    );
    expect(copies('file-train', 'file-valid')).toThrow("'evaluation.validation' is 'file-valid', which holds the rows");
    expect(copies('file-test', 'file-source')).toThrow("'evaluation.source[0]' is 'file-source'");
  });

  test('a size that an arm gives itself is kept, and refused where it is too far off', () => {
    const arms = [{ adapter: { type: 'lora', rank: 16 } }, { adapter: { type: 'mora', rank: 12 } }];
    expect(refusal({ arms }).message).toContain('mora r12 140,460, more than 5 % apart');
  });

  test('a budget that names no adapter is refused', () => {
    expect(refusal({ match: { parameters: 'lora' } }).message).toContain("'lora', which is none of the arms");
    expect(refusal({ match: { parameters: 'full' } }).message).toContain('trains the model itself');
  });
});

describe('refusals name the key as the experiment has it', () => {
  const lora = { adapter: 'lora' } as const;
  test.each<[string, Record<string, unknown>, string]>([
    ['two arms of one name', { arms: [lora, lora], match: undefined }, 'arms[1].name'],
    ['rows that choose among the trained ones', { evaluation: { validation: 'file-train' } }, 'evaluation.validation'],
    ['rows that choose and are reported', { evaluation: { validation: 'v', test: 'v' } }, 'evaluation.test'],
    [
      'other rows for an arm unasked',
      { arms: [lora, { name: 'b', adapter: 'lora', data_mix: [] }], match: undefined },
      'arms[1].data_mix',
    ],
    ['an unknown setting', { fixed: { batch_sise: 8 } }, 'fixed.batch_sise'],
    ['a rate among what is fixed', { fixed: { optimizer: { learning_rate: 1e-3 } } }, 'fixed.optimizer.learning_rate'],
    [
      'early stopping, by which arms would see different tokens',
      { fixed: { early_stopping: { patience: 2 } } },
      'fixed.early_stopping',
    ],
    ['a setting that its run would refuse', { fixed: { batch_size: 8, accumulation: 3 } }, 'fixed.accumulation'],
    [
      'a key of another method',
      { arms: [{ adapter: { type: 'mora', alpha: 8 } }], match: undefined },
      'arms[0].adapter.alpha',
    ],
    ['a word for no method', { arms: [{ adapter: 'lorra' }] }, 'arms[0].adapter'],
    ['a random search without room', { search: { type: 'random', min: 1, max: 1, runs: 3 } }, 'search'],
  ])('%s', (_what, changes, param) => {
    expect(refusal(changes).param).toBe(param);
  });
});
