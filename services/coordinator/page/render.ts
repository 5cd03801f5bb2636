/** Writes a run's view into the page: one function for each part of it. */
import { showClasses } from './class-figures.js';
import { createCoverage } from './coverage.js';
import { createCurves } from './curves.js';
import { create, element, fill, replaceIfNew } from './elements.js';
import { figuresOf, planOf, resultOf, systemOf } from './facts.js';
import { createLog } from './log.js';
import type { LiveRun, Status } from './messages.js';
import type { RunView } from './run-view.js';
import { inWords, reasonToWait, sentenceOf, shareDone } from './run-words.js';
import { createTimeline } from './timeline.js';
import { workersTable } from './workers.js';

export interface Renderer {
  /** @param agoMs how old the coordinator's last word of the run is */
  render(view: RunView, agoMs: number): void;
  renderSystem(status: Status): void;
}

/** @param changed a setting of the page did: it wants to be drawn again */
export function createRenderer(changed: () => void): Renderer {
  const curves = createCurves(changed);
  const timeline = createTimeline();
  const coverage = createCoverage();
  const log = createLog(changed);
  const progress = element('progress') as HTMLProgressElement;
  return {
    render: (view, agoMs) => {
      const sentence = element('sentence');
      sentence.textContent = sentenceOf(view);
      sentence.className = toneOf(view);
      element('why').textContent = view.failed?.hint ?? reasonToWait(view, agoMs);
      progress.value = shareDone(view);
      fill(element('figures'), figuresOf(view));
      curves.show(view);
      timeline.show(view.live);
      showNeeded(view.live, agoMs);
      coverage.show(view);
      replaceIfNew(
        element('workers'),
        JSON.stringify([view.live?.workers, [...view.workers], Math.round(agoMs / 500)]),
        () => [workersTable(view, agoMs)],
      );
      const plan = planOf(view);
      element('plan-card').hidden = plan.length === 0;
      fill(element('plan'), plan);
      showClasses(view);
      log.show(view);
      element('result-card').hidden = view.finished === undefined;
      if (view.finished !== undefined) fill(element('result'), resultOf(view.finished));
      for (const part of document.querySelectorAll<HTMLElement>('.scroll')) reachable(part);
    },
    renderSystem: ({ system, redis }) => {
      element('system-card').hidden = system === undefined;
      if (system !== undefined) fill(element('system'), systemOf(system, redis));
    },
  };
}

/** What hangs over its edge can be scrolled with the keyboard; what does not is no stop on the way. */
function reachable(part: HTMLElement): void {
  const hangsOver = part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight;
  if (hangsOver) part.tabIndex = 0;
  else part.removeAttribute('tabindex');
}

function toneOf({ failed, finished }: RunView): string {
  if (failed !== undefined) return 'bad';
  return finished === undefined ? '' : 'good';
}

/** Every part that the current step lacks, and who has it. */
function showNeeded(live: LiveRun | undefined, agoMs: number): void {
  const into = element('needed');
  if (live === undefined) {
    into.replaceChildren();
    return;
  }
  const { needed, version, phase } = live;
  element('needed-title').textContent =
    phase === 'measuring' ? 'What the run waits for' : `What step ${version} waits for`;
  const lines = needed.map((item) => inWords(item, agoMs));
  const none = phase === 'averaging' ? 'Nothing: all its blocks are in, it is being averaged.' : 'Nothing.';
  into.replaceChildren(...(lines.length === 0 ? [none] : lines).map((line) => create('li', line)));
}
