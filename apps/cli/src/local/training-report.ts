import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { AppError, type AttemptEvent, methodCoverage, type ResumeCheck, type RunConfig } from '@moraine/contract';
import { reportLines } from '../export-view.js';
import { progressLine } from '../progress-line.js';
import { duration, print, printError } from '../terminal.js';
import { placeExports, pruneCheckpoints } from './out-folder.js';

export interface TrainingReport {
  hear(event: AttemptEvent): void;
  clear(): void;
  /** Says how the run ended; returns the exit status. */
  finish(): number;
}

type Ended = Extract<AttemptEvent, { type: 'finished' | 'stopped' }>;

/** Turns what a run says into a progress line, metrics.jsonl and, at the end, its result. */
export function reportTraining(
  planned: RunConfig,
  isQuiet: boolean,
  out: string,
  addMetrics: (step: number, values: Record<string, number>) => void,
): TrainingReport {
  const begun = performance.now();
  const line = progressLine();
  const evaluations: Extract<AttemptEvent, { type: 'evaluation' }>['result'][] = [];
  let config = planned;
  let ready: Extract<AttemptEvent, { type: 'ready' }> | null = null;
  let last: Record<string, number> = {};
  let ended: Ended | null = null;
  let check: ResumeCheck | null = null;
  const note = (words: string): void => {
    line.clear();
    if (isQuiet) printError(words);
    else print(words);
  };
  const hear = (event: AttemptEvent): void => {
    switch (event.type) {
      case 'ready': {
        ready = event;
        config = event.config;
        const share = ((100 * event.trainableParameters) / event.totalParameters).toFixed(2);
        const from = event.startStep > 0 ? ` It goes on after step ${event.startStep}.` : '';
        if (isQuiet) return;
        print(
          `${event.rows} rows, ${config.steps} steps of ${config.batch_size}; ${event.trainableParameters.toLocaleString('en')} numbers are trained (${share} %) on ${event.device.name}.${from}`,
        );
        print(`Trains ${methodCoverage(config.adapter)}.`);
        return;
      }
      case 'metrics':
        last = event.values;
        addMetrics(event.step, event.values);
        if (!isQuiet) line.show(progressOf(event.step, config.steps, event.values), everyTenth(event.step, config));
        return;
      case 'message':
        note(event.message);
        return;
      case 'evaluation': {
        const { name, step, loss, tokenAccuracy } = event.result;
        evaluations.push(event.result);
        if (!isQuiet)
          note(
            `${name} at step ${step}: loss ${loss.toFixed(4)}, token accuracy ${(100 * tokenAccuracy).toFixed(1)} %`,
          );
        return;
      }
      case 'verified':
        check = event.check;
        note(check.message);
        return;
      case 'checkpoint':
        pruneCheckpoints(out, config.checkpoint);
        return;
      case 'finished':
      case 'stopped':
        ended = event;
        return;
      case 'failed':
        throw new AppError('internal', event.message);
      case 'evaluating':
      case 'items':
      case 'analysing':
      case 'analysis_rows':
        throw new AppError('internal', `A training said '${event.type}', which only another kind of task does.`);
      default:
        event satisfies never;
    }
  };
  const finish = (): number => {
    const event = ended as Ended | null;
    if (event === null) throw new AppError('internal', 'The run ended without saying how.');
    const seconds = (performance.now() - begun) / 1000;
    if (event.type === 'stopped') {
      note(
        `Stopped after step ${event.step} of ${config.steps}. \`moraine local train --resume --out ${out}\` goes on.`,
      );
      return 130;
    }
    const folders = placeExports(
      out,
      event.exports.flatMap(({ kind, dir }) => (dir === null ? [] : [{ kind, dir }])),
    );
    writeFileSync(path.join(out, 'result.csv'), event.resultFile);
    if (isQuiet) {
      const started = ready as { device: unknown; startStep: number; trainableParameters: number } | null;
      const { steps, seed, optimizer } = config;
      print(
        JSON.stringify({
          start_step: started?.startStep,
          steps,
          step: event.step,
          result_step: event.resultStep,
          stopped_early: event.stoppedEarly,
          ...(check === null ? {} : { resume_check: check }),
          seed,
          learning_rate: optimizer.learning_rate,
          trained_tokens: event.trainedTokens,
          trainable_parameters: started?.trainableParameters,
          seconds: Number(seconds.toFixed(3)),
          ...last,
          evaluations,
          device: started?.device,
          exports: Object.fromEntries(event.exports.map(({ kind, report }) => [kind, report])),
          ...folders,
        }),
      );
      return 0;
    }
    print(`Trained ${event.step} steps, ${event.trainedTokens.toLocaleString('en')} tokens, in ${duration(seconds)}.`);
    for (const [kind, dir] of Object.entries(folders)) print(`${kind.padEnd(8)} ${dir}`);
    for (const { kind, report } of event.exports)
      for (const line of reportLines(report)) print(`${kind.padEnd(8)} ${line}`);
    return 0;
  };
  return { hear, clear: line.clear, finish };
}

const everyTenth = (step: number, { steps }: RunConfig): string =>
  String(step === steps ? steps : Math.floor(step / Math.max(1, Math.floor(steps / 10))));

function progressOf(step: number, steps: number, values: Record<string, number>): string {
  const { train_loss: loss = 0, learning_rate: rate = 0, tokens_per_second: speed = 0, step_ms: ms = 0 } = values;
  const valid = values.valid_loss === undefined ? '' : `  valid ${values.valid_loss.toFixed(4)}`;
  const left = duration(((steps - step) * ms) / 1000);
  return `step ${step}/${steps}  loss ${loss.toFixed(4)}${valid}  rate ${rate.toExponential(2)}  ${speed.toFixed(0)} tokens/s  ${left} left`;
}
