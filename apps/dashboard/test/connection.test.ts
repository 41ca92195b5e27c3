import { describe, expect, it } from 'vitest';
import { type ConnectionFacts, connectionStatus } from '../src/lib/connection-status.js';
import { StatePages, until } from './support/state-pages.js';

const facts: ConnectionFacts = {
  answeredAt: 99_000,
  hasFailed: false,
  waitingSince: null,
  shownAt: 0,
  stream: 'none',
  streamHeardAt: null,
};

describe('what may be said of the connection', () => {
  it.each<[string, Partial<ConnectionFacts>, string]>([
    ['live after a fresh answer', {}, 'live'],
    ['live while another request is young', { waitingSince: 98_500 }, 'live'],
    ['not live when the last answer is old, though nothing failed', { answeredAt: 96_000 }, 'offline'],
    ['not live while a request is held up, though others are answered', { waitingSince: 97_500 }, 'catching_up'],
    ['offline when the last request failed', { hasFailed: true }, 'offline'],
    ['catching up before the first answer', { answeredAt: null, shownAt: 98_000 }, 'catching_up'],
    ['offline where the first answer does not come', { answeredAt: null, shownAt: 90_000 }, 'offline'],
    ['catching up when the page comes back into sight', { answeredAt: 20_000, shownAt: 98_500 }, 'catching_up'],
    ['catching up while the stream is being opened', { stream: 'connecting' }, 'catching_up'],
    ['live while the stream beats', { stream: 'open', streamHeardAt: 98_000 }, 'live'],
    [
      'not live while the stream is silent, though polls are answered',
      { stream: 'open', streamHeardAt: 90_000 },
      'catching_up',
    ],
  ])('%s', (_, part, status) => {
    expect(connectionStatus({ ...facts, ...part }, 100_000)).toBe(status);
  });
});

const on = new StatePages();

/** Seconds from now until the badge of the page says something else than live. */
async function secondsToNotLive(page = on.page): Promise<number> {
  const at = Date.now();
  await page.locator('[data-connection="offline"], [data-connection="catching_up"]').waitFor({ timeout: 15_000 });
  return (Date.now() - at) / 1000;
}

describe('a server that hangs', () => {
  it.each(['/runs', '/workers', 'a running run', 'a run that has ended'])(
    'is not called live for 5 s on %s, the age of what one sees counts up, and it comes back by itself',
    async (where) => {
      const id = on.trained(200, 50, where.endsWith('ended') ? { status: 'succeeded' } : {});
      await on.open(where.startsWith('/') ? where : `/runs/${id}`);
      if (where === 'a running run') await until(() => on.server.readers().size).toBe(1);
      await on.badge('live');
      await on.sees(/updated (now|\d s ago)/);
      on.server.hang();
      const seconds = await secondsToNotLive();
      console.log(`${where}: not live ${seconds.toFixed(1)} s after the server hung`);
      expect(seconds).toBeLessThan(5);
      await on.badge('offline');
      await on.sees(/updated [4-9] s ago/);
      on.server.goOn();
      await on.badge('live');
    },
  );

  it('ends a request after some seconds, so that the page asks again', async () => {
    await on.open('/workers');
    await on.badge('live');
    const asked = () => on.server.seen.filter((request) => request.includes('/v1/workers')).length;
    on.server.hang();
    await on.sees(/[1-9] tr(y|ies)/);
    // What hung is lost, as it is with a server that was killed: only requests that come later are answered.
    const before = asked();
    on.server.forget();
    await on.badge('live');
    await until(asked).toBeGreaterThan(before);
  });
});

describe('a tab that gets no connection', () => {
  it('is not called live while others are', async () => {
    const id = on.trained(200, 50);
    await on.open(`/runs/${id}`);
    await on.badge('live');
    // Requests of another page that never end take every connection that the browser opens to this server.
    const other = await on.openTab('/workers');
    await other.evaluate(() => {
      for (let at = 0; at < 8; at++) void fetch('/hold', { cache: 'no-store' }).catch(() => undefined);
    });
    expect(await secondsToNotLive()).toBeLessThan(5);
    await other.close();
    await on.badge('live');
  });
});

describe('the stream', () => {
  it('is one for twelve tabs of runs, which all stay live, and is released when none is in sight', async () => {
    const ids = Array.from({ length: 12 }, (_, at) => on.trained(200, 50, { suffix: `tab-${at}`, at: 100 + at }));
    await on.open(`/runs/${ids[0]}`);
    const pages = [on.page];
    for (const id of ids.slice(1)) pages.push(await on.openTab(`/runs/${id}`));
    await until(() => ids.filter((id) => on.server.get(id).readers.size === 1).length).toBe(12);
    expect(on.server.readers().size).toBe(1);
    const at = Date.now();
    for (const [n, id] of ids.entries())
      on.server.point(id, { step: 51, attempt: 1, values: { train_loss: 0.4 + n / 1000 } });
    await Promise.all(
      pages.map((page, n) =>
        page
          .locator('.figures .headline')
          .getByText((0.4 + n / 1000).toFixed(4))
          .waitFor(),
      ),
    );
    console.log(`twelve tabs show a point after ${Date.now() - at} ms, over ${on.server.readers().size} stream`);
    for (const page of pages) await page.locator('[data-connection="live"]').waitFor();

    const show = (visible: boolean) =>
      Promise.all(
        pages.map((page) =>
          page.evaluate(
            (state) => {
              Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
              Object.defineProperty(document, 'hidden', { value: state === 'hidden', configurable: true });
              document.dispatchEvent(new Event('visibilitychange'));
            },
            visible ? 'visible' : 'hidden',
          ),
        ),
      );
    await show(false);
    await until(() => on.server.readers().size).toBe(0);
    on.server.point(ids[3] ?? '', { step: 52, attempt: 1, values: { train_loss: 0.3333 } });
    await show(true);
    await pages[3]?.locator('.figures .headline').getByText('0.3333').waitFor();
    expect(on.server.readers().size).toBe(1);
    const reads = on.server.seen.filter((request) => request.includes(`${ids[3]}/metrics`));
    expect(reads).toHaveLength(1);
  });
});
