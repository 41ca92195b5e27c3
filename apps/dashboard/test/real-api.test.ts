import type { RunObject } from '@moraine/contract';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBrowser, type TestBrowser } from './support/browser.js';
import { Stack, uploadExamples } from './support/stack.js';

/** What only the real API shows: its search, its stream, its silence and its bytes. Nothing trains here. */
const COUNT = 64;
const TABS = 12;

let stack: Stack;
let browser: TestBrowser;
let page: Page;
/** Oldest first. */
const runs: RunObject[] = [];

beforeAll(async () => {
  stack = await Stack.start();
  browser = await startBrowser();
  const { model, training } = await uploadExamples(stack.client);
  for (let at = 0; at < COUNT; at++)
    runs.push(
      await stack.client.call('createRun', {
        body: { model, training_file: training, suffix: `Übung ${at}`, max_steps: 10, adapter: { rank: 2 } },
      }),
    );
  const { url } = await stack.client.call('createLoginLink');
  page = await browser.open(url);
  await signIn(page);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await stack?.close();
});

/** Presses the button of the page that a one-time link shows. */
const signIn = (tab: Page): Promise<void> => tab.getByRole('button', { name: 'Sign in here' }).click();
const live = (tab: Page): Promise<void> => tab.locator('[data-connection="live"]').waitFor({ timeout: 15_000 });

describe('on the real API', () => {
  it('a run beyond the newest 50 is found by its id and by its name, which may be any text', async () => {
    const [oldest] = runs;
    if (!oldest) throw new Error('No run.');
    await page
      .getByText(`of ${COUNT} runs`)
      .or(page.getByText(`${COUNT} runs`))
      .first()
      .waitFor();
    for (const text of [oldest.id, '"übung 0"']) {
      await page.getByLabel('Search the runs').fill(text);
      await page.getByText('1 run matches').waitFor();
      await page.getByRole('link', { name: 'Übung 0', exact: true }).waitFor();
    }
    await page.getByLabel('Search the runs').fill('lr<fast');
    await page.getByText(/'lr<fast' compares lr with 'fast'/).waitFor();
    await page.getByLabel('Search the runs').fill('');
  });

  it('twelve tabs of twelve runs stay live and see what happens to their runs', async () => {
    const shown = runs.slice(-TABS);
    const tabs = await Promise.all(shown.map((run) => browser.open(`${stack.origin}/runs/${run.id}`)));
    for (const tab of tabs) await live(tab);
    for (const run of shown) await stack.client.call('cancelRun', { params: { id: run.id } });
    for (const tab of tabs) await tab.locator('.run-title').getByText('Cancelled').waitFor({ timeout: 10_000 });
    for (const tab of tabs) {
      await live(tab);
      await tab.close();
    }
  });

  it('that hangs is not called live for 5 s', async () => {
    for (const path of ['/runs', `/runs/${runs[0]?.id}`]) {
      await page.goto(stack.origin + path);
      await page.locator('.page').waitFor();
      await page.waitForTimeout(1000);
      await live(page);
      const at = Date.now();
      stack.hangApi();
      await page.locator('[data-connection="offline"], [data-connection="catching_up"]').waitFor({ timeout: 15_000 });
      const seconds = (Date.now() - at) / 1000;
      console.log(`${path.slice(0, 6)}: not live ${seconds.toFixed(1)} s after SIGSTOP`);
      stack.wakeApi();
      expect(seconds).toBeLessThan(5);
      await live(page);
    }
  });
});

/** What a page pulls over the wire, headers included, by the browser's own count. */
async function wireOf(tab: Page, work: () => Promise<void>): Promise<{ bytes: number; requests: string[] }> {
  const session = await tab.context().newCDPSession(tab);
  const names = new Map<string, string>();
  const sizes = new Map<string, number>();
  session.on('Network.requestWillBeSent', ({ requestId, request }) => names.set(requestId, request.url));
  session.on('Network.responseReceived', ({ requestId, response }) => sizes.set(requestId, response.encodedDataLength));
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => sizes.set(requestId, encodedDataLength));
  await session.send('Network.enable');
  await work();
  await session.detach();
  return {
    bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
    requests: [...sizes].map(([id, size]) => `${size} ${names.get(id)?.replace(stack.origin, '')}`),
  };
}

describe('the bytes on the wire', () => {
  it('the shell comes in 130 kB at most, and its first rows in 10 more', async () => {
    const fresh = await startBrowser();
    const { url } = await stack.client.call('createLoginLink');
    const tab = await fresh.context.newPage();
    // The page with the button is no part of what the dashboard is.
    await tab.goto(url);
    const { bytes, requests } = await wireOf(tab, async () => {
      await signIn(tab);
      await tab.locator('.runs .row').first().waitFor();
    });
    const rows = requests
      .filter((one) => one.includes(' /v1/'))
      .reduce((sum, one) => sum + Number.parseInt(one, 10), 0);
    console.log(`the shell: ${((bytes - rows) / 1000).toFixed(1)} kB, its rows ${(rows / 1000).toFixed(1)} kB`);
    await fresh.close();
    expect(bytes - rows, requests.join('\n')).toBeLessThan(130_000);
    expect(rows, requests.join('\n')).toBeLessThan(10_000);
  });

  it('an idle list of 50 finished runs costs 1 kB/s at most', async () => {
    for (const run of runs) await stack.client.call('cancelRun', { params: { id: run.id } }).catch(() => undefined);
    const tab = await browser.open(`${stack.origin}/runs`);
    await tab.locator('.runs .row').first().waitFor();
    await tab.waitForTimeout(4000);
    const { bytes, requests } = await wireOf(tab, () => tab.waitForTimeout(10_000));
    console.log(`idle: ${(bytes / 10_000).toFixed(2)} kB/s`);
    await tab.close();
    expect(requests.length).toBeGreaterThan(3);
    expect(bytes / 10, requests.join('\n')).toBeLessThan(1000);
  });
});
