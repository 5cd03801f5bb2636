/** The live page: follows one run by its stream, and asks for the list of runs and the coordinator's figures now and then. */
import type { RunSummary } from '../../../packages/training/src/events.js';
import { showArtifacts } from './artifacts.js';
import { element } from './elements.js';
import type { Artifact, PageFrame, Status } from './messages.js';
import { createRenderer } from './render.js';
import { applyFrame, emptyView } from './run-view.js';

const ASK_MS = 5_000;
/** Soon after something was submitted its name is there. */
const ASK_WITHOUT_RUN_MS = 1_000;
/** Time passes for a run that waits, too. */
const CLOCK_MS = 1_000;

const runs = element('runs') as HTMLSelectElement;
let view = emptyView();
let shown: string | undefined;
let stream: EventSource | undefined;
let summaries: readonly RunSummary[] = [];
let artifacts: readonly Artifact[] = [];
let askedFor = '';
let due = false;
const renderer = createRenderer(draw);

/** At most once a frame, and not while nobody looks. */
function draw(): void {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    if (shown === undefined) return;
    renderer.render(view, view.live === undefined ? 0 : performance.now() - view.liveAt);
    showArtifacts(shown, artifacts, view);
  });
}

/** The run in the address, if there is one of that name; else the one in training, or the newest. */
function wanted(): string | undefined {
  const named = nameInAddress();
  if (summaries.some(({ run }) => run === named)) return named;
  const atWork = summaries.find(({ state }) => !['finished', 'failed', 'queued'].includes(state));
  return (atWork ?? summaries.at(-1))?.run;
}

function nameInAddress(): string {
  const written = location.hash.slice(1);
  try {
    return decodeURIComponent(written);
  } catch (error) {
    if (error instanceof URIError) return written; // no name of ours
    throw error;
  }
}

function follow(run: string): void {
  stream?.close();
  shown = run;
  view = emptyView();
  artifacts = [];
  askedFor = '';
  const source = new EventSource(`/runs/${encodeURIComponent(run)}/page`);
  source.onmessage = (message: MessageEvent<string>) => {
    const frame = JSON.parse(message.data) as PageFrame; // from the coordinator that served this script
    applyFrame(view, frame, performance.now());
    element('lost').hidden = true;
    askForArtifacts(run).catch(lost);
    draw();
  };
  source.onerror = () => {
    // The coordinator ends the stream of a run that is over; without this the browser would come back for more.
    if (isOver()) source.close();
    else lost('its stream ended');
  };
  stream = source;
  draw();
}

async function json<Answer>(path: string): Promise<Answer> {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`it answers ${answer.status}`);
  return (await answer.json()) as Answer; // from the coordinator that served this script
}

async function ask(): Promise<void> {
  const status = await json<Status>('/api/status');
  element('lost').hidden = true;
  summaries = status.runs;
  element('facts').textContent = `${status.coordinator} · ${status.kernel} · ${status.redis}`;
  renderer.renderSystem(status);
  const run = wanted();
  if (run !== undefined && (run !== shown || mustFollowAgain(run))) follow(run);
  if (run === undefined) element('sentence').textContent = 'No run was submitted yet: ropeteam submit job.yaml';
  listRuns();
}

/** New files come with checkpoints and with the end. */
async function askForArtifacts(run: string): Promise<void> {
  const state = `${run} ${view.checkpointStep} ${view.started === undefined} ${isOver()}`;
  if (state === askedFor) return;
  askedFor = state;
  const found = await json<readonly Artifact[]>(`/api/runs/${encodeURIComponent(run)}/artifacts`);
  if (run !== shown) return;
  artifacts = found;
  draw();
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
  const notice = element('lost');
  notice.hidden = false;
  notice.textContent = `The coordinator cannot be reached (${error instanceof Error ? error.message : String(error)}); trying again. What is below is what it said last.`;
}

runs.addEventListener('change', () => {
  location.hash = runs.value;
});
addEventListener('hashchange', () => {
  const run = wanted();
  if (run !== undefined && run !== shown) follow(run);
});
addEventListener('resize', draw);
setInterval(() => {
  if (!isOver()) draw();
}, CLOCK_MS);

function askAgain(): void {
  ask()
    .catch(lost)
    .finally(() => setTimeout(askAgain, shown === undefined ? ASK_WITHOUT_RUN_MS : ASK_MS));
}
askAgain();
