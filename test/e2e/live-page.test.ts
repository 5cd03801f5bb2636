/** The live page of a real run, over HTTP and in a real browser. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Artifact, PageFrame } from '../../services/coordinator/page/messages.js';
import { CHROMIUM, launchChromium, openPage, unnamedParts, unreadableTexts, type Window } from '../support/chromium.js';
import { startTestCluster, type TestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

let cluster: TestCluster;
let url = '';
let run = '';
let runPath = '';
let weightsSha256 = '';
beforeAll(async () => {
  cluster = await startTestCluster({ workers: 2 });
  const finished = await cluster.finish(digitsJob({ epochs: 6 }));
  ({ weightsSha256, run, runPath } = finished);
  url = cluster.http;
}, 60_000);
afterAll(() => cluster[Symbol.asyncDispose]());

test('everything the page loads comes from the coordinator, in 250 KB at the most', async () => {
  const index = await (await fetch(url)).text();
  const files = [...index.matchAll(/(?:src|href)="(\/page\/[^"]+)"/g)].map(([, path]) => path ?? '');
  expect(files.length).toBeGreaterThanOrEqual(3);
  expect(index).not.toMatch(/https?:|<style|style=| on[a-z]+=/);
  const scripts = await scriptsFrom('/page/main.js');
  expect(scripts.length).toBeGreaterThan(10);
  let bytes = gzipSync(index).length;
  for (const path of new Set([...files, ...scripts])) {
    const answer = await fetch(url + path);
    expect([path, answer.status]).toEqual([path, 200]);
    bytes += gzipSync(Buffer.from(await answer.arrayBuffer())).length;
  }
  expect(bytes).toBeLessThanOrEqual(250_000);
});

/** A module and all that it imports. */
async function scriptsFrom(path: string, known = new Set<string>()): Promise<readonly string[]> {
  if (known.has(path)) return [...known];
  known.add(path);
  const text = await (await fetch(url + path)).text();
  for (const [, name = ''] of text.matchAll(/from '\.\/([^']+)'/g)) await scriptsFrom(`/page/${name}`, known);
  return [...known];
}

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

test('files of the run can be taken, byte for byte, and the list says their sizes and hashes', async () => {
  const list = (await (await fetch(`${url}/api/runs/${run}/artifacts`)).json()) as readonly Artifact[];
  expect(list.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['model/model.safetensors', 'model/model.json', 'ledger.ndjson', 'job.yaml']),
  );
  expect(list[0]).toMatchObject({ kind: 'checkpoint', step: 36, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  for (const { name, bytes } of list) {
    const answer = await fetch(`${url}/runs/${run}/files/${name}`);
    const got = Buffer.from(await answer.arrayBuffer());
    expect([name, answer.status, got.length]).toEqual([name, 200, bytes]);
    expect(got.equals(await readFile(join(runPath, name)))).toBe(true);
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment;/);
  }
});

test.each([
  '/runs/none-such/events',
  '/runs/none-such/page',
  '/runs/..%2f..%2fetc/events',
  '/runs/%/events',
  '/page/../main.js',
  '/api/runs/none-such/artifacts',
  '/runs/RUN/files/fence',
  '/runs/RUN/files/submission.json',
  '/runs/RUN/files/model%2fmodel.json',
  '/runs/RUN/files/..%2fjob.yaml',
  '/runs/RUN/files/model/..%2f..%2fjob.yaml',
  '/runs/RUN/files/',
])('there is nothing at %s', async (path) => {
  expect((await fetch(url + path.replace('RUN', run))).status).toBe(404);
});

test('while it trains, a page is told who holds what; readers that never read change no bit of the weights', async () => {
  const port = Number(new URL(url).port);
  const deaf: Socket[] = [];
  const told: PageFrame[] = [];
  const follow = async (training: string): Promise<void> => {
    const answer = await fetch(`${url}/runs/${training}/page`);
    for (const [, data = ''] of (await answer.text()).matchAll(/^data: (\{.*\})$/gm))
      told.push(JSON.parse(data) as PageFrame);
  };
  let following: Promise<void> | undefined;
  const finished = await cluster.finish(digitsJob({ epochs: 25 }), ({ event, run: training }) => {
    if (event !== 'run_started') return;
    following = follow(training);
    for (let count = 0; count < 20; count++) {
      const socket = connect(port, '127.0.0.1').pause();
      socket.on('error', () => undefined); // cut off by the coordinator, as it should be
      socket.write(`GET /runs/${training}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      deaf.push(socket);
    }
  });
  await following;
  const calm = await cluster.finish(digitsJob({ epochs: 25 }));
  for (const socket of deaf) {
    socket.destroy();
    if (!socket.closed) await once(socket, 'close');
  }
  expect(finished.weightsSha256).toBe(calm.weightsSha256);
  const seen = told.flatMap(({ live }) => live ?? []);
  expect(seen.length).toBeGreaterThan(0);
  expect(
    seen
      .at(-1)
      ?.workers.map(({ worker }) => worker)
      .toSorted(),
  ).toEqual(['w0', 'w1']);
  expect(seen.at(-1)?.coverage).toMatchObject({ epochs: 25, steps: 6, samples: 1437 });
  expect(seen.some(({ bars }) => bars.some(({ outcome, kind }) => outcome === 'counted' && kind === 'gradient'))).toBe(
    true,
  );
  expect(told.flatMap(({ events }) => events).at(-1)?.event.event).toBe('run_finished');
}, 90_000);

describe.skipIf(CHROMIUM === undefined)('in Chromium (needs it installed)', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  async function open(window: Window = {}): Promise<Page> {
    const { page, troubles } = await openPage(browser, `${url}/#${run}`, window);
    await page.getByText(weightsSha256).waitFor();
    expect(troubles).toEqual([]);
    return page;
  }

  test('a run that is done is told in words, with its curves, workers, log and the hash of its weights', async () => {
    const page = await open();
    expect(await page.locator('#sentence').textContent()).toMatch(/^Done after \d+ steps in .*, test accuracy \d/);
    expect(await page.locator('.chart canvas').count()).toBe(5);
    await page.getByRole('link', { name: 'model/model.safetensors' }).waitFor();
    expect(await page.locator('#workers tr').count()).toBe(3);
    expect(await page.locator('#log li').first().textContent()).toContain('done after');
    await page.close();
  });

  test.each([
    { colorScheme: 'light', width: 1400 },
    { colorScheme: 'dark', width: 390 },
  ] as const)('$colorScheme and $width pixels wide: readable, and nothing hangs over the edge', async (options) => {
    const page = await open(options);
    expect(await unreadableTexts(page)).toEqual([]);
    expect(await unnamedParts(page)).toEqual([]);
    const over: number = await page.evaluate(
      'document.documentElement.scrollWidth - document.documentElement.clientWidth',
    );
    expect(over).toBeLessThanOrEqual(0);
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
