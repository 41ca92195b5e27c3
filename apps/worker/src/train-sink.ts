import { type NotFinite, newId, type RunConfig, type StreamMessage } from '@moraine/contract';
import {
  type AttemptToken,
  checkEvent,
  finishAttempt,
  ingestMetrics,
  markRunning,
  recordCheckpoint,
  recordEvaluation,
  recordExports,
  recordOwnCheck,
  recordResultFile,
  type Services,
  type Wish,
} from '@moraine/services';
import { eventId, eventSender, storeEvents } from './attempt-events.js';
import type { LivePublisher } from './live-publisher.js';
import type { KindEvent, KindSink } from './work.js';

/** Step events that a run's history gets; the metrics have every step. */
const STEP_EVENTS = 50;

export interface TrainSinkOptions {
  s: Services;
  token: AttemptToken;
  config: RunConfig;
  live: LivePublisher;
  /** The run is to be cancelled or paused. */
  onWish(wish: Wish): void;
}

/** Stores what only training says: metrics, evaluations, checkpoints and the results. */
export function trainSink({ s, token, config, live, onWish }: TrainSinkOptions): KindSink {
  const resultFileId = newId('file');
  let { steps } = config;
  const send = eventSender(s, token, live);

  return {
    async metrics(batch) {
      const { wish } = await ingestMetrics(s, token, batch);
      if (wish) onWish(wish);
      const messages = batch.map(
        ({ step, at, values }): StreamMessage => ({
          event: 'metric',
          data: { step, attempt: token.attempt, at: at / 1000, values: finite(values), ...notFinite(values) },
        }),
      );
      const every = Math.max(1, Math.ceil(steps / STEP_EVENTS));
      const marked = batch.filter(
        ({ step, values }) => values.train_loss !== undefined && (step % every === 0 || step === steps),
      );
      const events = marked.map(({ step, values }) => ({
        order: `step-${step}`,
        level: 'info' as const,
        type: 'metrics' as const,
        message: `Step ${step}/${steps}: training loss=${values.train_loss?.toFixed(4)}`,
        data: { step, ...finite(values) },
      }));
      messages.push(...(await storeEvents(s, token, events)));
      // Last, because all before it may be done again.
      live.send(messages);
    },
    async event(event: KindEvent, order: number) {
      switch (event.type) {
        case 'ready':
          steps = event.steps;
          return markRunning(s, token, event, eventId(token, order));
        case 'evaluation': {
          const { result } = event;
          await recordEvaluation(s, token, result);
          const exact = result.exactMatch === null ? '' : `, exact match ${(100 * result.exactMatch).toFixed(1)} %`;
          const message = `Evaluated ${result.name} at step ${result.step}: loss ${result.loss.toFixed(4)}, token accuracy ${(100 * result.tokenAccuracy).toFixed(1)} %${exact}`;
          return send(order, { level: 'info', message, data: { file_id: result.fileId, step: result.step } });
        }
        case 'checkpoint': {
          const { id, sizeBytes } = await recordCheckpoint(s, token, event);
          return send(order, {
            level: 'info',
            message: `Checkpoint saved at step ${event.step}`,
            data: { step: event.step, id, bytes: sizeBytes },
          });
        }
        case 'verified':
          await recordOwnCheck(s, token, event.check);
          return send(order, checkEvent(event.check));
        case 'evaluating':
        case 'items':
        case 'analysing':
        case 'analysis_rows':
          return unknownEvent(event);
        default:
          return event satisfies never;
      }
    },
    async finish(event) {
      await recordExports(s, token, event.exports);
      await recordResultFile(s, token, { id: resultFileId, csv: event.resultFile });
      await finishAttempt(s, token, event);
    },
  };
}

const finite = (values: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value)));

/** The metrics that are no numbers, by their word; nothing where all are. */
function notFinite(values: Record<string, number>): { not_finite?: Record<string, NotFinite> } {
  const marked = Object.entries(values).filter(([, value]) => !Number.isFinite(value));
  return marked.length === 0
    ? {}
    : { not_finite: Object.fromEntries(marked.map(([name, value]) => [name, String(value) as NotFinite])) };
}

function unknownEvent(event: KindEvent): never {
  throw new Error(`The training process sent what no training sends: ${JSON.stringify(event)}`);
}
