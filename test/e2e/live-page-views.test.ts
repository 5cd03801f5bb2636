/** What the live page shows of runs that are made up: very long ones, such that wait, such that mean harm. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MetricsServer } from '#telemetry';
import type { RunEvent, RunSummary } from '#training';
import type { LiveRun, PageFrame } from '../../services/coordinator/page/messages.js';
import { CHROMIUM, launchChromium, openPage, unnamedParts, unreadableTexts, type Window } from '../support/chromium.js';
import { eventsOf, type MadeUpRun, servePage, startedBody, stepBody } from '../support/page-server.js';

const PATIENCE = { timeout: 15_000 };
const LONG = 100_000;
const PEAK = 54_321;
const HARM = '<img src=x onerror="document.title=1"><script>document.title=1</script>';

const summaryOf = (run: string, state: RunSummary['state'], steps: number): RunSummary => ({
  ...{ run, job: run, state, step: 0, steps, submittedAt: '2026-01-01T00:00:00.000Z', runPath: `runs/${run}` },
});

/** 100,000 steps at once, and then one each millisecond or so, for as long as somebody looks. */
const long: MadeUpRun = {
  summary: summaryOf('long', 'training', 2 * LONG),
  events: async function* (signal) {
    yield* eventsOf('long', [startedBody(2 * LONG)]);
    for (let step = 0; step < LONG; step++) {
      yield* eventsOf('long', [stepBody(step, step === PEAK ? 99 : undefined)]);
      if (step % 1_000 === 0) await new Promise(setImmediate); // as a file would be read: in pieces
    }
    for (let step = LONG; !signal.aborted && step < 2 * LONG; step++) {
      yield* eventsOf('long', [stepBody(step)]);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  },
};

const joined = (worker: string) => ({ event: 'worker_joined', worker, pid: 1, threads: 1 }) as const;
const waitingEvents: readonly RunEvent[] = eventsOf('waiting', [
  startedBody(1_000, HARM),
  { ...joined(HARM) },
  { ...joined('w1') },
  ...Array.from({ length: 412 }, (_, step) => stepBody(step)),
  {
    ...{ event: 'worker_lost', worker: 'w0', pid: 1, reason: HARM, blocksReissued: 1, detectedInMs: 3 },
  },
]);
const live: LiveRun = {
  ...{ at: 0, version: 412, phase: 'training', judging: false, sinceCommitMs: 3_300, usualMs: 4, goodput: 0.98 },
  needed: [
    { what: 'block 2-4', worker: 'w1', heldMs: 3_200, failures: 0 },
    { what: 'block 0-2', worker: HARM, failures: 1 },
  ],
  coverage: {
    ...{ epoch: 17, epochs: 44, firstStep: 391, steps: 23, committedSteps: 21, announcedSteps: 23 },
    ...{ samples: 1437, committedSamples: 1344, disturbed: [{ from: 400, end: 401, kind: 'again' as const }] },
  },
  counts: { accepted: 824, duplicate: 1, conflicting: 0, stale: 0, reissued: 1 },
  workers: [
    {
      ...{ worker: HARM, pid: 1, host: HARM, threads: 1, state: 'ready', holds: [{ what: HARM, heldMs: 10 }] },
      ...{ samplesPerSecond: 9_000, failures: 1, counted: 400, lastSeenMs: 4_000 },
    },
    {
      ...{ worker: 'w1', pid: 2, host: 'h', threads: 1, state: 'ready', holds: [{ what: 'step 412', heldMs: 3_200 }] },
      ...{ samplesPerSecond: 90_000, failures: 0, counted: 424, lastSeenMs: 100 },
    },
  ],
  bars: (['counted', 'duplicate', 'lost', 'held', 'let go'] as const).flatMap((outcome, index) =>
    [0, 1].map((earlier) => ({
      ...{ worker: earlier === 0 ? 'w1' : HARM, kind: 'gradient' as const, step: 411, what: HARM, earlier, outcome },
      ...{ takenMs: -200 + 40 * index, computeFromMs: -195 + 40 * index, uploadFromMs: -180 + 40 * index },
      ...(outcome === 'held' ? {} : { endMs: -170 + 40 * index }),
    })),
  ),
};
const waiting: MadeUpRun = {
  summary: summaryOf('waiting', 'training', 1_000),
  events: async function* (signal) {
    yield* waitingEvents;
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  },
  live: () => live,
};

const classes = ['cat', 'dog', HARM].map((label) => ({ label, samples: 60, precision: 0.9, recall: 0.4, f1: 0.5 }));
const measured = {
  loss: 0.1,
  accuracy: 0.9,
  classes,
  confusion: [
    [55, 5, 0],
    [2, 50, 8],
    [30, 10, 20],
  ],
};
const finished: MadeUpRun = {
  summary: summaryOf('finished', 'finished', 30),
  events: async function* () {
    yield* eventsOf('finished', [
      startedBody(30),
      ...Array.from({ length: 30 }, (_, step) => stepBody(step)),
      {
        event: 'run_finished',
        ...{ steps: 30, epochs: 1, seconds: 2, samplesPerSecond: 1000, stoppedBy: 'epochs', test: measured },
        ...{ weightsSha256: 'ab'.repeat(32), optimizerSha256: 'cd'.repeat(32), goodput: 1, workersLost: 0 },
        ...{ blocksReissued: 0, redis: { engine: 'redis', version: '7' }, kernel: 'k', modelPath: 'm', runPath: 'r' },
      },
    ]);
  },
};
const failed: MadeUpRun = {
  summary: summaryOf('failed', 'failed', 30),
  events: async function* () {
    const failure = { event: 'run_failed', code: 'RUN.NONFINITE', message: HARM, hint: 'lower it', facts: {} } as const;
    yield* eventsOf('failed', [startedBody(30), stepBody(0), { ...failure }]);
  },
};

let server: MetricsServer;
beforeAll(async () => {
  server = await servePage([long, waiting, finished, failed]);
});
afterAll(() => server.close());

test('of 100,000 steps at most 2,000 points are sent, in the first seconds and for good', async () => {
  const gone = new AbortController();
  const answer = await fetch(`${server.url}/runs/long/page`, { signal: gone.signal });
  let rows: readonly (readonly number[])[] = [];
  let rest = '';
  for await (const piece of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const blocks = (rest + piece).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const { steps } = JSON.parse(block.slice(block.indexOf('data: ') + 6)) as PageFrame;
      if (steps !== undefined) rows = [...rows.filter(([step = 0]) => step < steps.from), ...steps.rows];
      expect(rows.length).toBeLessThanOrEqual(2_000);
    }
    if ((rows.at(-1)?.[0] ?? 0) > LONG) break;
  }
  gone.abort();
  expect(rows.length).toBeGreaterThan(500);
  expect(rows.find(([step]) => step === PEAK)?.[1]).toBe(99);
});

describe.skipIf(CHROMIUM === undefined)('in Chromium (needs it installed)', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser.close());

  async function open(run: string, window: Window = {}): Promise<Page> {
    const { page, troubles } = await openPage(browser, `${server.url}/#${run}`, window);
    await expect.poll(() => page.locator('#runs').inputValue(), PATIENCE).toBe(run);
    await page.locator('canvas').first().waitFor();
    expect(troubles).toEqual([]);
    return page;
  }

  test('a run of 100,000 steps that goes on is drawn without long frames', async () => {
    const page = await open('long');
    await expect.poll(() => page.locator('#sentence').textContent(), PATIENCE).toMatch(/step 1\d\d,\d{3} of/);
    const gaps: readonly number[] = await page.evaluate(`new Promise((resolve) => {
      const gaps = [];
      let last = performance.now();
      const next = (now) => {
        gaps.push(now - last);
        last = now;
        if (gaps.length < 120) requestAnimationFrame(next);
        else resolve(gaps.sort((a, b) => a - b));
      };
      requestAnimationFrame(next);
    })`);
    // Loosely, for a machine that others use: half of the frames come as often as a film's, and none takes a second.
    expect(gaps[60]).toBeLessThan(60);
    expect(gaps.at(-1)).toBeLessThan(1_000);
    await page.close();
  });

  test('a step that waits names every holder, and names with markup in them stay text', async () => {
    const page = await open('waiting');
    await page.getByText('held by w1 for').first().waitFor();
    expect(await page.locator('#sentence').textContent()).toMatch(/^Waiting: step 412 of 1,000, 2 workers/);
    expect(await page.locator('#why').textContent()).toMatch(
      /step 412 waits for block 2-4, held by w1 for \d\.\d s and/,
    );
    expect(await page.locator('#needed li').count()).toBe(2);
    expect(await page.locator('#workers tbody tr').first().textContent()).toContain(HARM);
    expect(await page.locator('#workers').textContent()).toContain('×0.10 of the median: slow');
    await page.getByText('The last pieces of work as a table').click();
    await page.locator('#timeline-rows td').first().waitFor();
    expect(await page.locator('#coverage-words').textContent()).toContain(
      '1,344 of 1,437 samples committed, each exactly once',
    );
    expect(await page.locator('img, script:not([src])').count()).toBe(0);
    expect(await page.title()).not.toBe('1');
    await page.close();
  });

  test('again, copies and losses are told apart by pattern and shape, not by colour alone', async () => {
    const page = await open('waiting');
    await page.locator('#timeline .bar.lost').first().waitFor();
    const fills = await page
      .locator('#timeline .bar .body')
      .evaluateAll((bodies) => bodies.map((body) => body.getAttribute('fill')));
    for (const fill of ['counted', 'again', 'duplicate', 'held']) expect(fills).toContain(`url(#bars-${fill})`);
    expect(await page.locator('#timeline .bar.lost .cross').count()).toBeGreaterThan(0);
    await page.close();
  });

  test('a failed run says why and what to do; a finished one which classes were taken for which', async () => {
    const page = await open('failed');
    expect(await page.locator('#sentence').textContent()).toBe(`Failed: ${HARM}`);
    expect(await page.locator('#why').textContent()).toBe('lower it');
    expect(await page.locator('#classes-card').isVisible()).toBe(false);
    await page.close();
    const done = await open('finished');
    expect(await done.locator('#classes table').count()).toBe(2);
    expect(await done.locator('.matrix td').first().textContent()).toBe('55');
    await done.close();
  });

  test('smoothing and the axis of the loss are set with the keyboard', async () => {
    const page = await open('waiting');
    await page.locator('#smoothing').focus();
    for (let press = 0; press < 5; press++) await page.keyboard.press('ArrowRight');
    expect(await page.locator('#smoothing-value').textContent()).toBe('10 %');
    await page.locator('#loss').getByText('each step').waitFor();
    await page.locator('#logarithmic').focus();
    await page.keyboard.press('Space');
    expect(await page.locator('#logarithmic').isChecked()).toBe(false);
    await page.close();
  });

  describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
    test.each([
      ['waiting', 1400],
      ['waiting', 360],
      ['finished', 360],
      ['failed', 1400],
    ] as const)('%s, %i pixels wide: readable, named, and nothing hangs over the edge', async (run, width) => {
      const page = await open(run, { colorScheme, width });
      expect(await unreadableTexts(page)).toEqual([]);
      expect(await unnamedParts(page)).toEqual([]);
      const over: number = await page.evaluate(
        'document.documentElement.scrollWidth - document.documentElement.clientWidth',
      );
      expect(over).toBeLessThanOrEqual(0);
      await page.close();
    });
  });
});
