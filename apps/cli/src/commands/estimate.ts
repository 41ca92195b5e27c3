import { type CreateRunRequest, type Estimate, methodCoverage } from '@moraine/contract';
import { describeChoices } from '@moraine/contract/plan';
import { type Command, DATA_OPTION, noMoreThan } from '../args.js';
import { besideLines } from '../beside-lines.js';
import { connect } from '../connect.js';
import { sharesOf } from '../mix-shares.js';
import { bytes, duration, labelled, paint, print, printError } from '../terminal.js';
import { RUN_OPTIONS, requestBody } from './runs-create.js';

export const estimateCommand: Command = {
  name: 'estimate',
  forms: ['--model NAME --file FILE [--config FILE] [--method NAME] [--json]'],
  options: { data: DATA_OPTION, ...RUN_OPTIONS, json: { type: 'boolean', help: 'The whole answer as JSON.' } },
  run: async (args) => {
    noMoreThan(args, 0, estimateCommand);
    const client = connect(args);
    const body = (await requestBody(args, client, estimateCommand)) as CreateRunRequest;
    const estimate = await client.call('estimateRun', { body });
    print(args.options.json ? JSON.stringify(estimate, null, 2) : describe(estimate));
    for (const sentence of sharesOf(estimate.rehearsal)) printError(sentence);
    for (const { warnings } of estimate.rehearsal) for (const sentence of warnings) printError(sentence);
    return 0;
  },
};

const PARTS: Record<keyof Estimate['memory']['parts'], string> = {
  runtime: 'Node and TensorFlow',
  graph: 'the traced graph',
  weights: 'weights of the base',
  trained: 'what is trained, with its gradients and optimiser state',
  activations: 'activations of the largest micro-batch',
  head: 'scores over the vocabulary',
  cache: 'keys and values of sampled answers',
};

function describe({ memory, time, beside, config, shapes, tokens_per_step, workers }: Estimate): string {
  const parts = Object.entries(memory.parts).filter(([, size]) => size > 0);
  const basis =
    time.measured_runs > 0
      ? `the pace of ${time.measured_runs} earlier runs on this base`
      : 'a rough model of a machine: no such run has ended yet';
  return [
    labelled([
      ['Memory', `${bytes(memory.total_bytes)} at the peak`],
      ...parts.map(([name, size]): [string, string] => ['', `${bytes(size)} ${PARTS[name as keyof typeof PARTS]}`]),
      ['Time', `${duration(time.total_seconds)} by ${basis}`],
      ...Object.entries(time.parts).map(([name, seconds]): [string, string] => ['', `${duration(seconds)} ${name}`]),
      ...besideLines(beside).map((line, i): [string, string] => [i === 0 ? 'Beside it' : '', line]),
      ['Steps', `${config.steps} of ${Math.round(tokens_per_step)} tokens, in micro-batches of ${shapes.join(', ')}`],
      ['Trains', `${config.trainable_parameters.toLocaleString('en')} numbers`],
      ['', methodCoverage(config.adapter)],
      ...describeChoices(config).map((sentence, i): [string, string] => [i === 0 ? 'Chosen' : '', sentence]),
    ]),
    verdictOn(workers),
  ].join('\n');
}

function verdictOn(workers: Estimate['workers']): string {
  if (workers.length === 0) return 'No worker is there to compare with.';
  const fitting = workers.filter(({ fits }) => fits).length;
  if (fitting > 0) return paint('green', `Fits ${fitting} of ${workers.length} workers.`);
  const largest = Math.max(...workers.map(({ memory_bytes: size }) => size));
  return paint('red', `Fits none of ${workers.length} workers; the largest has ${bytes(largest)}.`);
}
