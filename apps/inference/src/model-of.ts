import { AppError, parse } from '@moraine/contract';
import type { ServedModel } from '@moraine/services';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';

/** Header in which the API says by its content what answers, beside the request as its caller sent it. */
export const MODEL_HEADER = 'x-moraine-model';

const Place = z.object({ blobPrefix: z.string(), sha256: z.string() });
const Model = z.object({ tenant: z.string(), base: Place.extend({ name: z.string() }), tuned: Place.nullable() });

/** What a request of the API is answered by. @throws AppError `invalid_request` for a request that is not the API's. */
export function modelOf(request: FastifyRequest): ServedModel {
  const header = request.headers[MODEL_HEADER];
  if (typeof header !== 'string')
    throw new AppError('invalid_request', `The request has no header ${MODEL_HEADER}: only the API asks here.`);
  return parse(Model, JSON.parse(Buffer.from(header, 'base64url').toString()), ` in ${MODEL_HEADER}`);
}
