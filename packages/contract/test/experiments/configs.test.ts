import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { ExperimentRequest, planExperiment } from '../../src/experiments/index.js';
import { parseModelConfig } from '../../src/plan/index.js';
import { parse } from '../../src/validate.js';

const root = path.join(import.meta.dirname, '../../../..');
const folder = path.join(root, 'configs/experiments');
const files = readdirSync(folder).filter((name) => /\.(ya?ml|json)$/.test(name));
const base = parseModelConfig(JSON.parse(readFileSync(path.join(root, 'examples/base/config.json'), 'utf8')));

/** Rows that `npm run paper:NAME` writes before it starts. */
const isMade = (file: string): boolean => file.startsWith('../../.data/papers/');

test('there are files of experiments', () => expect(files).toContain('demo.yaml'));

describe.each(files)('configs/experiments/%s', (name) => {
  const spec = parse(ExperimentRequest, parseYaml(readFileSync(path.join(folder, name), 'utf8')));
  const { validation, test: held, source } = spec.evaluation;
  const rows = [spec.training_file, validation, ...(held === undefined ? [] : [held]), ...source];

  test('names rows that are there, or that its command makes', () => {
    expect(rows.filter((file) => !isMade(file) && !existsSync(path.join(folder, file)))).toEqual([]);
  });

  test('is one that the shipped base takes, with nothing that makes its arms incomparable', () => {
    const lines = (file: string): number =>
      isMade(file) ? 3000 : readFileSync(path.join(folder, file), 'utf8').trim().split('\n').length;
    const plan = planExperiment({ spec, base, rowsOf: lines, templateDate: '2026-01-01' });
    expect(plan.warnings).toEqual([]);
    expect(spec.seeds.final.length).toBeGreaterThanOrEqual(3);
  });
});
