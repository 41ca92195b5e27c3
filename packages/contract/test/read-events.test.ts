import { expect, test } from 'vitest';
import { compareIds, readEvents, type ServerEvent } from '../src/client/events.js';

/** The same bytes, cut wherever `cuts` says. */
async function read(text: string, size: number): Promise<ServerEvent[]> {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.subarray(at, at + size));
      controller.close();
    },
  });
  const events: ServerEvent[] = [];
  for await (const event of readEvents(body)) events.push(event);
  return events;
}

const TEXT =
  ': hb\n\nretry: 2000\nid: 1-0\nevent: metric\ndata: {"a":"é"}\n\n:\nid: 2-0\r\nevent: log\r\ndata: x\r\ndata:y\r\n\r\nevent: lost\n';

test.each([1, 2, 3, 7, 1000])('events come out whole when the bytes come %d at a time', async (size) => {
  expect(await read(TEXT, size)).toEqual([
    { id: '1-0', event: 'metric', data: '{"a":"é"}' },
    { id: '2-0', event: 'log', data: 'x\ny' },
  ]);
});

test('ids of one millisecond have an order, and it is that of numbers', () => {
  const ids = ['9-0', '10-2', '10-10', '1700000000000-0'];
  expect([...ids].reverse().sort(compareIds)).toEqual(ids);
  expect(compareIds('10-2', '10-2')).toBe(0);
});
