import { existsSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { startBrowser, type TestBrowser } from './browser.js';
import { FixtureServer } from './fixture-server.js';
import { makeRun, noise, valuesAt } from './scenario.js';

/** 60 characters. */
export const LONG = 'a-name-of-sixty-characters-that-somebody-really-chose-for-it';

/** Waits for a value; longer than expect.poll does by itself, for cores that are shared. */
export const until = <T>(read: () => T, options = { timeout: 15_000 }) => expect.poll(read, options);

type TrainedOptions = Parameters<typeof makeRun>[1] & { at?: number };

/** A fresh fixture server and page for each test of a file, in one browser. After each test the page must have had nothing to complain of. */
export class StatePages {
  private currentServer: FixtureServer | null = null;
  private currentPage: Page | null = null;
  private readonly otherTabs: Page[] = [];
  private browser: TestBrowser | null = null;
  private origin = '';

  constructor() {
    beforeAll(async () => {
      if (!existsSync(new URL('../../dist/index.html', import.meta.url)))
        throw new Error('The dashboard is not built: npm run build -w @moraine/dashboard');
      this.browser = await startBrowser();
    });
    afterAll(() => this.browser?.close());
    beforeEach(async () => {
      this.currentServer = new FixtureServer();
      this.origin = await this.currentServer.listen();
    });
    afterEach(async () => {
      for (const page of this.otherTabs.splice(0)) await page.close();
      await this.currentPage?.close();
      await this.currentServer?.close();
      // Nothing inline was refused by the content security policy, nothing was thrown, no key was missing.
      expect(this.browser?.complaints.splice(0)).toEqual([]);
    });
  }

  get server(): FixtureServer {
    if (!this.currentServer) throw new Error('No test is running.');
    return this.currentServer;
  }

  get page(): Page {
    if (!this.currentPage) throw new Error('No page is open.');
    return this.currentPage;
  }

  async open(path: string): Promise<void> {
    this.currentPage = (await this.browser?.open(this.origin + path)) ?? null;
  }

  /** Another tab of the same browser; `page` stays the first. */
  async openTab(path: string): Promise<Page> {
    if (!this.browser) throw new Error('No test is running.');
    const page = await this.browser.open(this.origin + path);
    this.otherTabs.push(page);
    return page;
  }

  async goTo(path: string): Promise<void> {
    await this.page.goto(this.origin + path);
  }

  async sees(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor({ timeout: 15_000 });
  }

  async badge(status: string): Promise<void> {
    await this.page.locator(`[data-connection="${status}"]`).waitFor({ timeout: 15_000 });
  }

  rows() {
    return this.page.locator('.runs .row');
  }

  /** How wide the page is beyond its window; more than 0 means that it scrolls sideways. */
  overflow(): Promise<number> {
    return this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  }

  /** A run with its points, as the database has it. */
  trained(steps: number, last: number, { at = 7, ...options }: TrainedOptions = {}): string {
    const id = this.server.add(makeRun(at, { status: 'running', steps, step: last, method: 0, ...options }));
    const random = noise(5);
    for (let step = 1; step <= last; step++)
      this.server.get(id).points.push({ step, attempt: 1, values: valuesAt(step, steps, random) });
    return id;
  }
}
