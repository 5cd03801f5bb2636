/** Everything the coordinator answers over HTTP besides metrics and probes, in one table. All of it is only read. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { listArtifacts, openArtifact } from '#storage';
import type { Found, MetricsServerOptions, Page, Route } from '#telemetry';
import { type Role, RopeteamError, type RunEvent, type RunId, runId } from '#training';
import type { Artifact, Status, SystemFigures } from '../page/messages.js';
import type { RunBook } from './run-book.js';
import { RunFeeds } from './run-feed.js';

/** What the answers are made of. */
export interface HttpSources {
  readonly facts: Pick<Status, 'coordinator' | 'kernel' | 'redis'>;
  readonly book: Pick<RunBook, 'summaries' | 'watch' | 'look'>;
  readonly system: () => SystemFigures | undefined;
  /** Where metrics are to be had, for Prometheus. */
  readonly targets: () => string;
}

/** Who may look at runs and take their files, and who at what Prometheus needs. */
const PAGE_ROLES: readonly Role[] = ['viewer', 'submitter', 'admin'];
const METRICS_ROLES: readonly Role[] = ['metrics', 'admin'];

/** Steps of a run sent to a program that reads events, at the most. */
const MOST_STEPS = 2_000;
/** Pages that ask for the same at about the same time get the same text. */
const STATUS_KEPT_MS = 500;
/** Steps of milliseconds are told in a few writes a second (docs/benchmarks.md, "Being watched"). */
const REST_MS = 250;
const FOLDER = new URL('../page/', import.meta.url);

const TYPES = {
  js: 'text/javascript',
  css: 'text/css',
  html: 'text/html',
  json: 'application/json',
  svg: 'image/svg+xml',
} as const;
const page = (kind: keyof typeof TYPES, body: string): Page => ({ contentType: `${TYPES[kind]}; charset=utf-8`, body });
const json =
  (make: () => unknown): (() => Promise<Page>) =>
  async () =>
    page('json', JSON.stringify(await make()));

/** The fixed paths, and those of runs. */
export function httpRoutes(sources: HttpSources): Required<Pick<MetricsServerOptions, 'routes' | 'find'>> {
  const { book, targets } = sources;
  const feeds = new RunFeeds();
  const ofRuns: readonly (readonly [path: RegExp, answer: (run: RunId, rest: string) => Found])[] = [
    [
      /^\/runs\/([^/]+)\/events$/,
      (run) => ({ for: PAGE_ROLES, kind: 'events', follow: (from, signal) => eventsOfRun(book, run, from, signal) }),
    ],
    [
      /^\/runs\/([^/]+)\/page$/,
      (run) => ({
        for: PAGE_ROLES,
        kind: 'events',
        follow: (from, signal) =>
          feeds.follow(run, from, signal, () => ({
            ...book.look(run),
            watch: (first, ended) => book.watch(run, first, ended, REST_MS),
          })),
      }),
    ],
    [
      /^\/api\/runs\/([^/]+)\/artifacts$/,
      (run) => ({ for: PAGE_ROLES, kind: 'page', make: json(() => artifactsOf(book, run)) }),
    ],
    [
      /^\/runs\/([^/]+)\/files\/(.+)$/,
      (run, name) => ({ for: PAGE_ROLES, kind: 'file', open: () => fileOf(book, run, name) }),
    ],
  ];
  return {
    routes: {
      ...pageFiles(),
      '/api/status': {
        for: PAGE_ROLES,
        make: keptFor(STATUS_KEPT_MS, () => page('json', JSON.stringify(statusOf(sources)))),
      },
      '/targets': { for: METRICS_ROLES, make: () => page('json', targets()) },
    },
    find: (path) => {
      for (const [pattern, answer] of ofRuns) {
        const [, name, rest = ''] = pattern.exec(path) ?? [];
        const run = name === undefined ? undefined : knownRun(book, name);
        if (run !== undefined) return answer(run, rest);
      }
      return undefined;
    },
  };
}

/** The page and all it needs; read once, nothing comes from another host. */
function pageFiles(): Record<string, Route> {
  const uplot = dirname(createRequire(import.meta.url).resolve('uplot'));
  const at = (path: string, kind: keyof typeof TYPES, file: URL | string): [string, Route] => {
    const content = page(kind, readFileSync(file, 'utf8'));
    return [path, { for: PAGE_ROLES, make: () => content }];
  };
  const files = readdirSync(FOLDER).filter((name) => name !== 'uplot.js');
  const own = (kind: 'js' | 'css') =>
    files.filter((name) => /^[a-z-]+\.[a-z]+$/.test(name) && name.endsWith(`.${kind}`));
  return Object.fromEntries([
    at('/', 'html', new URL('index.html', FOLDER)),
    ...own('js').map((name) => at(`/page/${name}`, 'js', new URL(name, FOLDER))),
    ...own('css').map((name) => at(`/page/${name}`, 'css', new URL(name, FOLDER))),
    at('/page/icon.svg', 'svg', new URL('icon.svg', FOLDER)),
    at('/page/uplot.js', 'js', join(uplot, 'uPlot.esm.js')),
    at('/page/uplot.css', 'css', join(uplot, 'uPlot.min.css')),
  ]);
}

function statusOf({ facts, book, system }: HttpSources): Status {
  const figures = system();
  return { ...facts, ...(figures === undefined ? {} : { system: figures }), runs: book.summaries };
}

function keptFor(ms: number, make: () => Page): () => Page {
  let kept: { readonly page: Page; readonly until: number } | undefined;
  return () => {
    if (kept === undefined || performance.now() >= kept.until) kept = { page: make(), until: performance.now() + ms };
    return kept.page;
  };
}

/** A run by the name in a path, still encoded; undefined where there is none of that name, or the name is none. */
function knownRun(book: HttpSources['book'], name: string): RunId | undefined {
  try {
    const run = runId(decodeURIComponent(name));
    book.look(run);
    return run;
  } catch (error) {
    if (error instanceof RopeteamError || error instanceof RangeError || error instanceof URIError) return undefined;
    throw error;
  }
}

/** Every event but steps, and of those each so-many-th, for programs. */
async function* eventsOfRun(book: HttpSources['book'], run: RunId, from: number, signal: AbortSignal) {
  const every = Math.max(1, Math.ceil(book.look(run).summary().steps / MOST_STEPS));
  const wanted = (event: RunEvent): boolean => event.event !== 'step_committed' || event.step % every === 0;
  let id = from;
  for await (const event of book.watch(run, from, signal, REST_MS)) {
    if (wanted(event)) yield { id, data: JSON.stringify(event) };
    id++;
  }
}

async function artifactsOf(book: HttpSources['book'], run: RunId): Promise<readonly Artifact[]> {
  const found = await listArtifacts(book.look(run).folder);
  return found.map((artifact) => ({ ...artifact, modifiedAt: artifact.modifiedAt.toISOString() }));
}

async function fileOf(book: HttpSources['book'], run: RunId, name: string) {
  const file = await openArtifact(book.look(run).folder, name);
  if (file === undefined) return undefined;
  const { bytes, read } = file;
  return { name: `${run}-${basename(name)}`, bytes, read, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() };
}
