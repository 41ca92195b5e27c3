import type { ServerResponse } from 'node:http';

export function json(res: ServerResponse, body: unknown): ServerResponse {
  res.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  return res.end(JSON.stringify(body));
}

export function fail(res: ServerResponse, status: number, code: string, message: string): ServerResponse {
  res.writeHead(status, { 'content-type': 'application/json' });
  return res.end(JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code } }));
}

export const list = <T extends { id: string }>(data: T[]) => ({
  object: 'list',
  data,
  has_more: false,
  first_id: data[0]?.id ?? null,
  last_id: data.at(-1)?.id ?? null,
});

export function page<T extends { id: string }>(all: T[], query: URLSearchParams) {
  const after = query.get('after');
  const start = after ? all.findIndex(({ id }) => id === after) + 1 : 0;
  const data = all.slice(start, start + Number(query.get('limit') ?? 20));
  return { ...list(data), has_more: start + data.length < all.length };
}
