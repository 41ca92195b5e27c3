import type { AttemptEvent } from '@moraine/contract';

/** Steps are reported at most so often; the metrics have every one. */
const STEP_MS_MIN = 5_000;

const digits = (value: number | undefined): string =>
  value === undefined ? '–' : String(Number(value.toPrecision(4)));

/** The log line of each event of an attempt; null for events that are reported elsewhere. Remembers when it last reported a step. */
export function createNarrator(planned: number): (event: AttemptEvent) => string | null {
  let toldAt = 0;
  let steps = planned;
  return (event) => {
    switch (event.type) {
      case 'ready':
        steps = event.steps;
        return `ready after ${digits(event.secondsToReady)} s on ${event.device.name} (TensorFlow ${event.device.tensorflow}, ${event.device.threads} threads, ${event.mode}): ${event.rows} rows, ${event.trainableParameters} of ${event.totalParameters} parameters are trained, from step ${event.startStep}`;
      case 'metrics': {
        if (event.values.train_loss === undefined || (event.at - toldAt < STEP_MS_MIN && event.step < steps))
          return null;
        toldAt = event.at;
        const { train_loss: loss, tokens_per_second: speed, grad_norm: norm } = event.values;
        return `step ${event.step} of ${steps}: loss ${digits(loss)}, gradient norm ${digits(norm)}, ${digits(speed)} tokens/s`;
      }
      case 'evaluation': {
        const { name, step, loss, tokenAccuracy, exactMatch } = event.result;
        const exact = exactMatch === null ? '' : `, exact match ${digits(exactMatch)}`;
        return `evaluated ${name} at step ${step}: loss ${digits(loss)}, token accuracy ${digits(tokenAccuracy)}${exact}`;
      }
      case 'checkpoint':
        return `checkpoint at step ${event.step}, ${event.sizeBytes} bytes`;
      case 'message':
        return event.message;
      case 'verified':
        return event.check.message;
      case 'evaluating':
        steps = event.total;
        return `ready after ${digits(event.secondsToReady)} s on ${event.device.name} (TensorFlow ${event.device.tensorflow}, ${event.device.threads} threads): ${event.total} items, from ${event.from}`;
      case 'analysing':
        steps = event.total;
        return `ready after ${digits(event.secondsToReady)} s on ${event.device.name} (TensorFlow ${event.device.tensorflow}, ${event.device.threads} threads): ${event.total} rows, from ${event.from}`;
      case 'items':
      case 'analysis_rows': {
        const [all, noun] = event.type === 'items' ? [event.items, 'item'] : [event.rows, 'row'];
        const done = (all.at(-1)?.index ?? -1) + 1;
        if (event.at - toldAt < STEP_MS_MIN && done < steps) return null;
        toldAt = event.at;
        return `${noun} ${done} of ${steps}`;
      }
      case 'finished': {
        const result = event.resultStep === event.step ? '' : `, the result is of step ${event.resultStep}`;
        const kinds = event.exports.map(({ kind }) => kind);
        return `finished at step ${event.step}${result}${kinds.length === 0 ? '' : ` with ${kinds.join(', ')}`}`;
      }
      case 'stopped':
        return `stopped at step ${event.step}: ${event.reason}`;
      case 'failed':
        return `failed at step ${event.step}: ${event.message}`;
      default:
        return event satisfies never;
    }
  };
}
