import { createHash } from 'node:crypto';
import { ID_PREFIX, newId, type RunConfig, type StreamMessage } from '@moraine/contract';
import {
  type AttemptToken,
  cancelAttempt,
  eventMessage,
  failAttempt,
  finishAttempt,
  ingestMetrics,
  markRunning,
  type NewEvent,
  recordCheckpoint,
  recordEvaluation,
  recordEvent,
  recordExports,
  recordLogs,
  recordResultFile,
  releaseAttempt,
  type Services,
} from '@moraine/services';
import type { LivePublisher } from './live-publisher.js';
import type { OutboxEvent, OutboxSink } from './outbox.js';

/** Step events that a run's history gets; the metrics have every step. */
const STEP_EVENTS = 50;
const LIVE_FLUSH_MS = 1_000;

export interface SinkOptions {
  s: Services;
  token: AttemptToken;
  config: RunConfig;
  live: LivePublisher;
  onCancel(): void;
}

/** Stores what a child says under the attempt's token, and then tells the live stream. Everything here may be called twice. */
export function attemptSink({ s, token, config, live, onCancel }: SinkOptions): OutboxSink {
  const resultFileId = newId('file');
  const every = Math.max(1, Math.ceil(config.steps / STEP_EVENTS));

  const store = async (order: string, event: Omit<NewEvent, 'id'>): Promise<StreamMessage> =>
    eventMessage(await recordEvent(s, token, { ...event, id: eventId(token, order) }));
  const tell = async (order: number, event: Omit<NewEvent, 'id'>): Promise<void> =>
    live.send([await store(`${order}`, event)]);

  return {
    async metrics(batch) {
      const { cancelRequested } = await ingestMetrics(s, token, batch);
      if (cancelRequested) onCancel();
      const messages = batch.map(
        ({ step, at, values }): StreamMessage => ({
          event: 'metric',
          data: { step, attempt: token.attempt, at: at / 1000, values: finite(values) },
        }),
      );
      for (const { step, values } of batch) {
        if (values.train_loss === undefined || (step % every !== 0 && step !== config.steps)) continue;
        const message = `Step ${step}/${config.steps}: training loss=${values.train_loss.toFixed(4)}`;
        messages.push(
          await store(`step-${step}`, { level: 'info', type: 'metrics', message, data: { step, ...finite(values) } }),
        );
      }
      // Last, because all before it may be done again.
      live.send(messages);
    },
    async logs(batch) {
      const lines = await recordLogs(s, token, batch);
      live.send(lines.map((data): StreamMessage => ({ event: 'log', data })));
    },
    async event(event: OutboxEvent, order: number) {
      switch (event.type) {
        case 'ready':
          return markRunning(s, token, event, eventId(token, order));
        case 'message':
          return tell(order, { level: event.level, message: event.message, data: event.data });
        case 'evaluation': {
          const { result } = event;
          await recordEvaluation(s, token, result);
          const exact = result.exactMatch === null ? '' : `, exact match ${(100 * result.exactMatch).toFixed(1)} %`;
          const message = `Evaluated ${result.name} at step ${result.step}: loss ${result.loss.toFixed(4)}, token accuracy ${(100 * result.tokenAccuracy).toFixed(1)} %${exact}`;
          return tell(order, { level: 'info', message, data: { file_id: result.fileId, step: result.step } });
        }
        case 'checkpoint': {
          const { id, sizeBytes } = await recordCheckpoint(s, token, event);
          return tell(order, {
            level: 'info',
            message: `Checkpoint saved at step ${event.step}`,
            data: { step: event.step, id, bytes: sizeBytes },
          });
        }
        case 'finished':
          await recordExports(s, token, event.exports);
          await recordResultFile(s, token, { id: resultFileId, csv: event.resultFile });
          await live.flush(LIVE_FLUSH_MS);
          return finishAttempt(s, token, event);
        case 'stopped':
          await live.flush(LIVE_FLUSH_MS);
          if (event.reason === 'cancel') return cancelAttempt(s, token, event);
          await releaseAttempt(s, token, `The worker was stopped at step ${event.step}.`);
          return;
        case 'failed':
          await live.flush(LIVE_FLUSH_MS);
          await failAttempt(s, token, event);
          return;
        default:
          return unknownEvent(event);
      }
    },
  };
}

/** The same event has the same id when it is sent again. */
function eventId({ runId, attempt }: AttemptToken, order: number | string): string {
  const digest = createHash('sha256').update(`${runId} ${attempt} ${order}`).digest('hex');
  return `${ID_PREFIX.event}${digest.slice(0, 24)}`;
}

const finite = (values: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => Number.isFinite(value)));

function unknownEvent(event: never): never {
  throw new Error(`The training process sent something unknown: ${JSON.stringify(event)}`);
}
