import { AppError } from '@moraine/contract';
import type { FastifyInstance } from 'fastify';
import { modelOf } from './model-of.js';
import { requireBase } from './served-for.js';
import type { Trained } from './trained.js';

export interface ResidencyOptions {
  trained: Pick<Trained, 'pin' | 'unpin' | 'unload'>;
  baseSha256: string;
  /** Says in Postgres what is resident now: callers look there. */
  tell(): Promise<void>;
}

/** `POST /adapters/{pin,unpin,unload}`: what the header of a request means (`modelOf`) keeps its place in memory, may go, or leaves. */
export function addResidencyRoutes(app: FastifyInstance, { trained, baseSha256, tell }: ResidencyOptions): void {
  for (const act of ['pin', 'unpin', 'unload'] as const)
    app.post(`/adapters/${act}`, async (request) => {
      const { tenant, base, tuned } = modelOf(request);
      requireBase(base, baseSha256);
      if (tuned === null)
        throw new AppError('invalid_value', 'A base is resident for as long as its process.', { param: 'model' });
      await trained[act](tenant, tuned);
      await tell();
      return {};
    });
}
