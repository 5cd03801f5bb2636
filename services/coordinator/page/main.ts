/** The live page: follows one run by its events, and the list of runs by asking every two seconds. */
import type { RunEvent, RunSummary } from '../../../packages/training/src/events.js';
import { createRenderer, element } from './render.js';
import { advanceView, emptyView } from './run-view.js';

/** What `/api/status` answers. */
interface Status {
  readonly coordinator: string;
  readonly kernel: string;
  readonly redis: string;
  readonly runs: readonly RunSummary[];
}

const ASK_MS = 2_000;
const DRAW_MS = 250;

const renderer = createRenderer();
const runs = element('runs') as HTMLSelectElement;
let view = emptyView();
let shown: string | undefined;
let stream: EventSource | undefined;
let summaries: readonly RunSummary[] = [];
let changed = true;

/** The run in the address, if there is one of that name; else the one in training, or the newest. */
function wanted(): string | undefined {
  const named = decodeURIComponent(location.hash.slice(1));
  if (summaries.some(({ run }) => run === named)) return named;
  const atWork = summaries.find(({ state }) => !['finished', 'failed', 'queued'].includes(state));
  return (atWork ?? summaries.at(-1))?.run;
}

function follow(run: string): void {
  stream?.close();
  shown = run;
  view = emptyView();
  changed = true;
  const source = new EventSource(`/runs/${encodeURIComponent(run)}/events`);
  source.onmessage = (message: MessageEvent<string>) => {
    const event = JSON.parse(message.data) as RunEvent; // from the coordinator that served this script
    advanceView(view, event);
    changed = true;
  };
  source.onerror = () => {
    // The coordinator ends the stream of a run that is over; without this the browser would come back for more.
    if (isOver()) source.close();
  };
  stream = source;
}

async function ask(): Promise<void> {
  const answer = await fetch('/api/status');
  if (!answer.ok) throw new Error(`the coordinator answers ${answer.status}`);
  const status = (await answer.json()) as Status;
  summaries = status.runs;
  element('facts').textContent = `${status.coordinator} · ${status.kernel} · ${status.redis}`;
  listRuns();
  const run = wanted();
  if (run !== undefined && (run !== shown || mustFollowAgain(run))) follow(run);
  if (run === undefined) element('sentence').textContent = 'No run was submitted yet: ropeteam submit job.yaml';
  changed = true;
}

const isOver = (): boolean => view.finished !== undefined || view.failed !== undefined;

/** A run that was over is in training again, or its stream was refused and the browser has given up. */
function mustFollowAgain(run: string): boolean {
  if (stream?.readyState !== EventSource.CLOSED) return false;
  const state = summaries.find((summary) => summary.run === run)?.state;
  return !isOver() || (state !== 'finished' && state !== 'failed');
}

function listRuns(): void {
  const names = summaries.map(({ run, state }) => `${run} (${state})`);
  if (names.join() !== [...runs.options].map(({ text }) => text).join()) {
    runs.replaceChildren(...summaries.map(({ run }, index) => new Option(names[index], run)));
  }
  if (shown !== undefined) runs.value = shown;
}

function lost(error: unknown): void {
  element('why').textContent =
    `The coordinator cannot be reached (${error instanceof Error ? error.message : String(error)}); trying again.`;
}

runs.addEventListener('change', () => {
  location.hash = runs.value;
});
addEventListener('hashchange', () => {
  const run = wanted();
  if (run !== undefined && run !== shown) follow(run);
});
setInterval(() => void ask().catch(lost), ASK_MS);
setInterval(() => {
  // Time passes for a run that waits, too.
  if (!changed && view.finished !== undefined) return;
  changed = false;
  if (shown !== undefined) renderer.render(view, summaries.find(({ run }) => run === shown)?.waitingFor);
}, DRAW_MS);
ask().catch(lost);
