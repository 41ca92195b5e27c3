import type { BenchOptions } from '@moraine/recipes';

/** The process that a benchmark is measured in: options come in as one argument, one line of figures goes out. */
try {
  const { runBench } = await import('@moraine/recipes');
  const result = await runBench(JSON.parse(process.argv[2] ?? '{}') as BenchOptions);
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint}` : '';
  process.stderr.write(`moraine: ${message}${hint}\n`);
  process.exitCode = 1;
}
