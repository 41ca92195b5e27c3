/**
 * `npm run test:estimate`: the estimate of memory against the measured peak of the training process, at four shapes and three methods, in
 * mode plain; each must be within 25 %. The last line is the total. About ten minutes on two cores.
 */
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { AdapterRequest, type BatchShape, CreateRunRequest, requestOf } from '@moraine/contract';
import { estimateMemory, parseModelConfig, resolveConfig } from '@moraine/contract/plan';
import { BENCH_SHAPES, type BenchShape, benchConfig } from '@moraine/recipes';

const cli = resolve(import.meta.dirname, '../../apps/cli/bin/moraine.mjs');
const TOLERANCE = 0.25;
const METHODS = ['lora', 'mora-6', 'full'];
const BATCHES: Partial<Record<BenchShape, string[]>> = {
  '260k': ['4x128', '1x1024'],
  '15m': ['4x256', '1x1024'],
  '42m': ['1x128', '4x256'],
  '135m': ['1x128', '2x256'],
};

function measured(shape: string, method: string, batch: string): { peak: number; shapes: BatchShape[] } {
  const [rows = '', tokens = ''] = batch.split('x');
  const args = [
    'local',
    'bench',
    '--shape',
    shape,
    '--method',
    method,
    '--rank',
    '8',
    '--batch',
    rows,
    '--seq',
    tokens,
  ];
  const out = execFileSync('node', [cli, ...args, '--steps', '3', '--json'], { encoding: 'utf8' });
  const { peak_rss_mb: peak, shapes } = JSON.parse(out.trim().split('\n').at(-1) ?? '') as {
    peak_rss_mb: number;
    shapes: string[];
  };
  const parse = (shape: string): BatchShape => {
    const [b = 0, t = 0] = shape.split('x').map(Number);
    return { batch: b, time: t };
  };
  return { peak, shapes: shapes.map(parse) };
}

function estimated(shape: BenchShape, method: string, training: BatchShape[]): number {
  const model = parseModelConfig(benchConfig(shape));
  const adapter = AdapterRequest.parse(requestOf(method));
  const request = CreateRunRequest.parse({ model: 'm', training_file: 'f' });
  const plan = { baseName: 'm', base: model, rows: 100, seed: 1, templateDate: '2026-01-01' };
  const config = resolveConfig({ request: { ...request, adapter }, ...plan });
  return estimateMemory(model, config, { training, evaluation: [], generation: null }).total_bytes / 2 ** 20;
}

const counts = { passed: 0, failed: 0 };
for (const shape of Object.keys(BENCH_SHAPES) as BenchShape[]) {
  for (const method of METHODS) {
    for (const batch of BATCHES[shape] ?? []) {
      const { peak, shapes } = measured(shape, method, batch);
      const guess = estimated(shape, method, shapes);
      const isNear = Math.abs(guess / peak - 1) <= TOLERANCE;
      counts[isNear ? 'passed' : 'failed'] += 1;
      const words = [shape, method, batch, `measured ${peak.toFixed(0)} MB`, `estimated ${guess.toFixed(0)} MB`];
      process.stdout.write(`${isNear ? '' : 'FAILED '}${words.join(', ')}: ${(guess / peak).toFixed(2)}\n`);
    }
  }
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;
