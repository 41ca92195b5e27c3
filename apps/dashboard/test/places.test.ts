import { describe, expect, it } from 'vitest';
import { makeRun } from './support/scenario.js';
import { StatePages, until } from './support/state-pages.js';

const on = new StatePages();

const address = () => new URL(on.page.url());
const scrollTop = (selector: string) => on.page.locator(selector).evaluate((element) => Math.round(element.scrollTop));

describe('Back', () => {
  it('finds the list where it was left: search, pages and scroll', async () => {
    for (let at = 0; at < 300; at++) on.server.add(makeRun(at, { status: at % 2 ? 'failed' : 'succeeded' }));
    await on.open('/runs?status=succeeded&q=team%3Dgreen');
    await on.sees('150 runs match');
    const body = on.page.locator('.table-body');
    for (const top of [1400, 2800, 3333])
      await until(async () => {
        await body.evaluate((element, to) => element.scrollTo(0, to), top);
        return scrollTop('.table-body');
      }).toBe(top);
    const left = await scrollTop('.table-body');
    const row = on.page.locator(`.row[data-index="${Math.ceil(left / 32) + 2}"] a`);
    const name = (await row.textContent()) ?? '';
    await row.click();
    await on.page.locator('.run-title').waitFor();
    await on.page.goBack();
    await until(() => scrollTop('.table-body')).toBe(left);
    expect(address().search).toBe('?status=succeeded&q=team%3Dgreen');
    await on.page.getByRole('link', { name, exact: true }).waitFor();
    // After a page of another kind, too, when nothing of it is in memory any more.
    await row.click();
    await on.page.locator('.run-title').waitFor();
    await on.page.reload();
    await on.page.locator('.run-title').waitFor();
    await on.page.goBack();
    await until(() => scrollTop('.table-body')).toBe(left);
    // And when it is loaded again in the moment in which it was scrolled.
    await body.evaluate((element) => {
      element.scrollTo(0, 1600);
      element.dispatchEvent(new Event('scroll'));
      location.reload();
    });
    await on.sees('150 runs match');
    await until(() => scrollTop('.table-body')).toBe(1600);
  });

  it('finds a run’s charts with their zoom, and its tabs where they were', async () => {
    const id = on.trained(400, 400, { status: 'succeeded' });
    await on.open(`/runs/${id}?steps=100-200&smooth=0`);
    await on.page.setViewportSize({ width: 1440, height: 500 });
    await on.page.locator('canvas').first().waitFor();
    await on.page.locator('.tab-body').evaluate((element) => element.scrollTo(0, 120));
    await until(() => scrollTop('.tab-body')).toBe(120);
    await on.page.getByRole('link', { name: 'Logs' }).click();
    await on.sees('No log lines');
    await on.page.getByRole('link', { name: 'Workers' }).click();
    await on.sees('No worker has registered');
    await on.page.goBack();
    await on.sees('No log lines');
    await on.page.goBack();
    await on.page.locator('canvas').first().waitFor();
    expect(address().search).toBe('?steps=100-200&smooth=0');
    await until(() => scrollTop('.tab-body')).toBe(120);
  });
});

describe('every tab', () => {
  it('is called by what it shows, and by the state of its run', async () => {
    const id = on.trained(200, 50, { suffix: 'Übung 7' });
    await on.open(`/runs/${id}`);
    await until(() => on.page.title()).toBe('Übung 7 · Running · Moraine');
    on.server.patch(id, { state: 'cancelling' });
    await until(() => on.page.title()).toBe('Übung 7 · Cancelling · Moraine');
    await on.goTo('/runs');
    await until(() => on.page.title()).toBe('Runs · Moraine');
    await on.goTo('/runs?q=team%3Dblue');
    await until(() => on.page.title()).toBe('team=blue · Moraine');
    await on.goTo('/workers');
    await until(() => on.page.title()).toBe('Workers · Moraine');
  });
});

describe('Esc', () => {
  it('closes the innermost thing alone: the menu, then the zoom', async () => {
    const id = on.trained(200, 200, { status: 'succeeded' });
    on.server.patch(id, { exports: ['adapter', 'peft'] });
    await on.open(`/runs/${id}?steps=50-100`);
    await on.page.locator('canvas').first().waitFor();
    await on.page.getByText('Download').click();
    const menu = on.page.locator('.menu ul');
    await menu.waitFor();
    await on.page.keyboard.press('Escape');
    await menu.waitFor({ state: 'hidden' });
    expect(address().searchParams.get('steps')).toBe('50-100');

    await on.page.keyboard.press('?');
    await on.page.getByRole('complementary', { name: 'Keyboard' }).waitFor();
    await on.page.getByText('Download').click();
    await menu.waitFor();
    await on.page.keyboard.press('Escape');
    await menu.waitFor({ state: 'hidden' });
    expect(await on.page.getByRole('complementary', { name: 'Keyboard' }).count()).toBe(1);
    await on.page.keyboard.press('Escape');
    await on.page.getByRole('complementary', { name: 'Keyboard' }).waitFor({ state: 'hidden' });
    expect(address().searchParams.get('steps')).toBe('50-100');

    // A menu is what Esc closes from the moment it is seen: one that came in the same moment as Esc does not leave the zoom to it.
    await on.page.evaluate(async () => {
      document.querySelector<HTMLElement>('.menu button')?.click();
      await Promise.resolve();
      dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
    });
    await menu.waitFor({ state: 'hidden' });
    expect(address().searchParams.get('steps')).toBe('50-100');

    await on.page.getByLabel('Log axis').focus();
    await on.page.keyboard.press('Escape');
    await until(() => address().searchParams.get('steps')).toBeNull();
  });
});
