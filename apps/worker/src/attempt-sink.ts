import type { StopReason, StreamMessage } from '@moraine/contract';
import {
  type AttemptToken,
  failAttempt,
  holdAttempt,
  recordLogs,
  releaseAttempt,
  type Services,
} from '@moraine/services';
import { eventSender } from './attempt-events.js';
import type { LivePublisher } from './live-publisher.js';
import type { OutboxEvent, OutboxSink } from './outbox.js';
import type { KindSink, Work } from './work.js';

const LIVE_FLUSH_MS = 1_000;

export interface SinkOptions {
  s: Services;
  token: AttemptToken;
  live: LivePublisher;
  work: Pick<Work, 'cancel'>;
  kindSink: KindSink;
}

/**
 * Stores what a child says under the attempt's token, and then sends it to the live stream: log lines, messages and the end here, the rest
 * by the kind of work. Everything here may be called twice.
 */
export function attemptSink({ s, token, live, work, kindSink }: SinkOptions): OutboxSink {
  const send = eventSender(s, token, live);
  return {
    metrics: kindSink.metrics,
    async logs(batch) {
      const lines = await recordLogs(s, token, batch);
      live.send(lines.map((data): StreamMessage => ({ event: 'log', data })));
    },
    async event(event: OutboxEvent, order: number) {
      switch (event.type) {
        case 'message':
          return send(order, { level: event.level, message: event.message, data: event.data });
        case 'finished':
          await live.flush(LIVE_FLUSH_MS);
          return kindSink.finish(event);
        case 'stopped':
          await live.flush(LIVE_FLUSH_MS);
          if (event.reason === 'cancel') return work.cancel(event);
          if (event.reason === 'hold') await holdAttempt(s, token, event.step);
          else await releaseAttempt(s, token, stoppedAt(event));
          return;
        case 'failed':
          await live.flush(LIVE_FLUSH_MS);
          await failAttempt(s, token, event);
          return;
        default:
          return kindSink.event(event, order);
      }
    },
  };
}

const stoppedAt = ({ reason, step }: { reason: StopReason | 'hold'; step: number }): string =>
  `${reason === 'pause' ? 'The attempt' : 'The worker'} was stopped at step ${step}.`;
