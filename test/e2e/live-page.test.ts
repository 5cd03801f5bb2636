/** The live page, over HTTP and in a real browser. */
import { existsSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

let cluster: TestCluster;
let url = '';
let run = '';
let weightsSha256 = '';
beforeAll(async () => {
  cluster = await startTestCluster({ workers: 2 });
  const finished = await cluster.finish(digitsJob({ epochs: 6 }));
  ({ weightsSha256, run } = finished);
  url = cluster.http;
}, 60_000);
afterAll(() => cluster[Symbol.asyncDispose]());

test('everything the page loads comes from the coordinator, in 250 KB at the most', async () => {
  const index = await (await fetch(url)).text();
  const files = [...index.matchAll(/(?:src|href)="(\/page\/[^"]+)"/g)].map(([, path]) => path ?? '');
  expect(files.length).toBeGreaterThanOrEqual(3);
  expect(index).not.toMatch(/https?:|<style|style=| on[a-z]+=/);
  const scripts = ['render', 'charts', 'run-view', 'uplot'].map((name) => `/page/${name}.js`);
  let bytes = gzipSync(index).length;
  for (const path of [...files, ...scripts]) {
    const answer = await fetch(url + path);
    expect([path, answer.status]).toEqual([path, 200]);
    bytes += gzipSync(Buffer.from(await answer.arrayBuffer())).length;
  }
  expect(bytes).toBeLessThanOrEqual(250_000);
});

async function events(from?: number): Promise<readonly { id: number; event: string }[]> {
  const headers = from === undefined ? {} : { 'Last-Event-ID': String(from) };
  const text = await (await fetch(`${url}/runs/${run}/events`, { headers })).text(); // ends with the run's last event
  return text
    .trim()
    .split('\n\n')
    .map((block) => {
      const [, id = '', data = ''] = /^id: (\d+)\ndata: (.*)$/.exec(block) ?? [];
      return { id: Number(id), event: (JSON.parse(data) as { event: string }).event };
    });
}

test('the events of a run come in their order, and a connection that was lost goes on behind the last one seen', async () => {
  const all = await events();
  expect(all[0]).toEqual({ id: 0, event: 'run_queued' });
  expect(all.at(-1)?.event).toBe('run_finished');
  const middle = all[Math.floor(all.length / 2)]?.id ?? 0;
  expect(await events(middle)).toEqual(all.filter(({ id }) => id > middle));
});

test.each(['/runs/none-such/events', '/runs/..%2f..%2fetc/events', '/runs/%/events', '/page/../main.js'])(
  'there is nothing at %s',
  async (path) => {
    expect((await fetch(url + path)).status).toBe(404);
  },
);

describe.skipIf(CHROMIUM === undefined)('in Chromium (needs it installed)', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox'] });
  });
  afterAll(() => browser.close());

  async function open(options: { colorScheme?: 'light' | 'dark'; width?: number } = {}): Promise<Page> {
    const { colorScheme = 'light', width = 1400 } = options;
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const troubles: string[] = [];
    page.on('pageerror', (error) => troubles.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') troubles.push(message.text());
    });
    await page.goto(url);
    await page.getByText(weightsSha256).waitFor();
    expect(troubles).toEqual([]);
    return page;
  }

  test('a run that is done is told in words, with its curves, workers, log and the hash of its weights', async () => {
    const page = await open();
    expect(await page.locator('#sentence').textContent()).toMatch(/^Done after \d+ steps in .*, test accuracy \d/);
    expect(await page.locator('.chart canvas').count()).toBe(4);
    expect(await page.locator('#workers tr').count()).toBe(3);
    expect(await page.locator('#log li').first().textContent()).toContain('done after');
    await page.close();
  });

  test.each([
    { colorScheme: 'light', width: 1400 },
    { colorScheme: 'dark', width: 390 },
  ] as const)('$colorScheme and $width pixels wide: readable, and nothing hangs over the edge', async (options) => {
    const page = await open(options);
    const shown: Shown = await page.evaluate(`({
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      text: getComputedStyle(document.body).color,
      ground: getComputedStyle(document.body).backgroundColor,
    })`);
    expect(shown.wide).toBeLessThanOrEqual(0);
    expect(contrast(shown.text, shown.ground)).toBeGreaterThanOrEqual(4.5);
    await page.close();
  });

  test('with the keyboard alone one comes to the run, and a run can be named in the address', async () => {
    const page = await open();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement?.textContent')).toBe('Skip to the run');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement?.id')).toBe('runs');
    await page.goto(`${url}#${run}`);
    expect(await page.locator('#runs').inputValue()).toBe(run);
    await page.close();
  });
});

/** What the browser says of the page; the expressions are run there. */
interface Shown {
  readonly wide: number;
  readonly text: string;
  readonly ground: string;
}

/** Ratio of luminances as in WCAG 2. */
function contrast(a: string, b: string): number {
  const luminance = (colour: string): number => {
    const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? []).map((channel) => {
      const share = Number(channel) / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}
