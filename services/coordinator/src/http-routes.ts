/** The coordinator's live page: its files, the list of runs, and the events of a run as they come. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { EventStream, Page } from '#telemetry';
import { RopeteamError, type RunEvent, type RunSummary, runId } from '#training';
import type { RunBook } from './run-book.js';

/** What the page shows besides the runs. */
export interface CoordinatorFacts {
  readonly coordinator: string;
  readonly kernel: string;
  readonly redis: string;
}

/** Steps of a run sent to a page at the most: as many as a wide screen has columns. */
const MOST_STEPS = 2_000;
const STREAM = /^\/runs\/([^/]+)\/events$/;
const FOLDER = new URL('../page/', import.meta.url);

const TYPES = {
  js: 'text/javascript',
  css: 'text/css',
  html: 'text/html',
  json: 'application/json',
  svg: 'image/svg+xml',
} as const;
const page = (kind: keyof typeof TYPES, body: string): Page => ({ contentType: `${TYPES[kind]}; charset=utf-8`, body });

/** The page and all it needs; read once, nothing comes from another host. */
export function pageRoutes(facts: CoordinatorFacts, runs: () => readonly RunSummary[]): Record<string, () => Page> {
  const uplot = dirname(createRequire(import.meta.url).resolve('uplot'));
  const own = (name: string, kind: keyof typeof TYPES): [string, () => Page] => {
    const file = page(kind, readFileSync(new URL(name, FOLDER), 'utf8'));
    return [`/page/${name}`, () => file];
  };
  const borrowed = (path: string, name: string, kind: keyof typeof TYPES): [string, () => Page] => {
    const file = page(kind, readFileSync(join(uplot, name), 'utf8'));
    return [path, () => file];
  };
  const index = page('html', readFileSync(new URL('index.html', FOLDER), 'utf8'));
  return Object.fromEntries([
    ['/', () => index],
    ['/api/status', () => page('json', JSON.stringify({ ...facts, runs: runs() }))],
    ...['main.js', 'render.js', 'charts.js', 'run-view.js'].map((name) => own(name, 'js')),
    own('style.css', 'css'),
    own('icon.svg', 'svg'),
    borrowed('/page/uplot.js', 'uPlot.esm.js', 'js'),
    borrowed('/page/uplot.css', 'uPlot.min.css', 'css'),
  ]);
}

/** The events of the run in a path `/runs/ID/events` from number `from`; undefined for another path or an unknown run. */
export function runEventStream(book: RunBook): EventStream {
  return (path, from, signal) => {
    const name = STREAM.exec(path)?.[1];
    if (name === undefined) return undefined;
    try {
      const run = runId(decodeURIComponent(name));
      const steps = book.summaries.find((summary) => summary.run === run)?.steps ?? 0;
      return thinned(book.watch(run, from, signal), from, Math.max(1, Math.ceil(steps / MOST_STEPS)));
    } catch (error) {
      // No name of a run, or of none.
      if (error instanceof RopeteamError || error instanceof RangeError || error instanceof URIError) return undefined;
      throw error;
    }
  };
}

/** Every event but steps, and of those each `every`-th: a page that is opened late gets what one opened early has. */
async function* thinned(events: AsyncIterable<RunEvent>, from: number, every: number) {
  let id = from;
  for await (const event of events) {
    if (event.event !== 'step_committed' || event.step % every === 0) yield { id, data: JSON.stringify(event) };
    id++;
  }
}
