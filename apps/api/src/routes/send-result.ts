import { FORMAT_TYPES, type ResultFormat } from '@moraine/contract/experiments';
import type { FastifyReply, FastifyRequest } from 'fastify';

const FORMATS = Object.keys(FORMAT_TYPES) as ResultFormat[];

/** The result as JSON, or in the form that `format` names; without one, in the first of the header `accept` that it has. */
export function sendResult<R>(
  request: FastifyRequest,
  reply: FastifyReply,
  format: 'json' | ResultFormat | undefined,
  result: R,
  render: (result: R, format: ResultFormat, title: string) => string | null,
): R | FastifyReply {
  const title = (request.params as { id: string }).id;
  void reply.header('vary', 'accept');
  for (const wanted of format === undefined ? acceptedBy(request) : [format]) {
    const text = wanted === 'json' ? null : render(result, wanted, title);
    if (wanted === 'json') return result;
    if (text !== null) return reply.type(`${FORMAT_TYPES[wanted]}; charset=utf-8`).send(text);
  }
  return result;
}

/** Forms that the header `accept` names, as it orders them; weights are not looked at. */
function acceptedBy(request: FastifyRequest): ('json' | ResultFormat)[] {
  const types = (request.headers.accept ?? '').split(',').map((one) => one.split(';')[0]?.trim());
  return types.flatMap((type) => {
    if (type === 'application/json' || type === '*/*') return ['json' as const];
    return FORMATS.filter((format) => FORMAT_TYPES[format] === type);
  });
}
