/** How epochs are judged and runs end: the last measurement, the user's stop. */

import type { SplitName } from './dataset.js';
import { metricsOf } from './epoch-metrics.js';
import type { FinalMetrics, Metrics } from './events.js';
import { figuresOf, withoutClasses } from './figures.js';
import { step as toStep } from './identities.js';
import { evaluationItems } from './run-shape.js';
import type { BestEpoch, ItemState, RunEffect, RunState } from './run-state.js';
import { releaseAll } from './run-state.js';
import { publishIfNeeded } from './send-versions.js';
import { judgeEpoch } from './stop-rules.js';
import { itemKey } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/** Whether every announced part of a split's evaluation at the current version is in (an empty split is). */
export function isMeasured(now: RunState, split: SplitName): boolean {
  return evaluations(now, split).every((held) => held.receipt !== undefined);
}

/** Closes the last epoch: its metrics are known, the stop rules are asked. */
export function judge(now: RunState): Advance {
  const { lastEpoch } = now;
  if (lastEpoch === undefined) return [{ ...now, judging: false }, []];
  const figures = figuresOfSplit(now, 'validation');
  const validation = figures === undefined ? undefined : withoutClasses(figures);
  const finished = { ...lastEpoch, ...(validation === undefined ? {} : { validation }) };
  const { stop, stoppedBy, best } = judgeEpoch(now.stop, now.rules, finished);
  const kept = best !== undefined && keepsBest(now) ? { best: { ...finished, step: now.version, value: best } } : {};
  const state: RunState = { ...now, judging: false, stop, lastEpoch: finished, ...kept };
  return [
    stoppedBy === undefined ? state : { ...state, stoppedBy },
    [{ kind: 'epoch-finished', ...finished, best: best !== undefined }],
  ];
}

/** Training is over: what is still announced is withdrawn, and the splits not yet measured at this version are. */
export function startMeasuring(now: RunState): Advance {
  const worse = worseThanBest(now);
  if (worse !== undefined && !now.judging) return restore(now, worse);
  // Whose weights are tested follows from the last epoch's validation.
  const splits: readonly SplitName[] = now.judging && keepsBest(now) ? ['validation'] : ['validation', 'test'];
  const missing = splits
    .filter((split) => evaluations(now, split).length === 0)
    .flatMap((split) => evaluationItems(now.shape, now.version, split));
  const kept = [...now.items].filter(
    ([, held]) => held.item.kind === 'evaluation' && held.item.version === now.version,
  );
  const added = missing.map((item): [string, ItemState] => [itemKey(item), { item, failedOn: [] }]);
  const dropped: RunState = {
    ...now,
    items: new Map([...now.items].filter(([key]) => !kept.some(([k]) => k === key))),
  };
  const state: RunState = { ...now, phase: 'measuring', items: new Map([...kept, ...added]) };
  const [sent, publishing] = publishIfNeeded(state);
  const [finished, effects] = finishIfMeasured(sent);
  return [
    finished,
    [
      { kind: 'withdraw' },
      ...releaseAll(dropped),
      ...publishing,
      ...(missing.length === 0 ? [] : [{ kind: 'announce' as const, items: missing }]),
      ...effects,
    ],
  ];
}

export function finishIfMeasured(now: RunState): Advance {
  if (now.judging && keepsBest(now)) {
    if (!isMeasured(now, 'validation')) return [now, []];
    const [judged, effects] = judge(now);
    const [state, more] = startMeasuring(judged);
    return [state, [...effects, ...more]];
  }
  if (!isMeasured(now, 'validation') || !isMeasured(now, 'test')) return [now, []];
  const [judged, effects] = now.judging ? judge(now) : [now, []];
  const train = trainMetrics(judged);
  const validation = figuresOfSplit(judged, 'validation');
  const test = figuresOfSplit(judged, 'test');
  const stoppedBy = judged.stoppedBy ?? judged.shape.limitedBy;
  const metrics = {
    ...(train === undefined ? {} : { train }),
    ...(validation === undefined ? {} : { validation }),
    ...(test === undefined ? {} : { test }),
  };
  return [{ ...judged, phase: 'ended', stoppedBy }, [...effects, { kind: 'finish', stoppedBy, metrics }]];
}

/** The user wants an end: the step in progress is given up, nothing more is measured. */
export function endAtOnce(now: RunState): Advance {
  const worse = worseThanBest(now);
  if (worse !== undefined) return restore({ ...now, stoppedBy: 'user' }, worse);
  return finishUnmeasured(now);
}

/** The best weights are back: they are measured, unless the user waits for an end. */
export function measureRestored(now: RunState): Advance {
  // No lease ends beyond the last step: nobody can have made this version by itself.
  const state: RunState = { ...now, restored: now.version, version: toStep(now.shape.steps + 1), judging: false };
  return now.stoppedBy === 'user' ? finishUnmeasured(state) : startMeasuring(state);
}

function keepsBest({ rules }: RunState): boolean {
  return rules.keep === 'best';
}

/** The best epoch, if the weights in place are not its own. */
function worseThanBest({ rules, best, version, restored }: RunState): BestEpoch | undefined {
  return rules.keep === 'best' && restored === undefined && best?.step !== version ? best : undefined;
}

function restore(now: RunState, best: BestEpoch): Advance {
  const state: RunState = { ...now, phase: 'restoring', items: new Map() };
  return [state, [{ kind: 'withdraw' }, ...releaseAll(now), { kind: 'restore', best }]];
}

function finishUnmeasured(now: RunState): Advance {
  const validation = now.restored === undefined ? undefined : now.best?.validation;
  const train = trainMetrics(now);
  const ended: RunState = { ...now, phase: 'ended', stoppedBy: 'user', items: new Map() };
  return [
    ended,
    [
      { kind: 'withdraw' },
      ...releaseAll(now),
      {
        kind: 'finish',
        stoppedBy: 'user',
        metrics: { ...(train === undefined ? {} : { train }), ...(validation === undefined ? {} : { validation }) },
      },
    ],
  ];
}

/** Of the kept epoch, or of the one in progress where a run ends within one, else of the last whole epoch. */
function trainMetrics(now: RunState): Metrics | undefined {
  if (now.restored !== undefined) return now.best?.train;
  return now.epochSums.sampleCount > 0 ? metricsOf(now.epochSums, now.task, now.targetCount) : now.lastEpoch?.train;
}

/** Sums are added part by part in order; undefined for a split that was not measured at the current version. */
function figuresOfSplit(now: RunState, split: SplitName): FinalMetrics | undefined {
  const receipts = evaluations(now, split)
    .flatMap(({ receipt }) => (receipt !== undefined && 'part' in receipt ? [receipt] : []))
    .sort((left, right) => left.part - right.part);
  if (receipts.length === 0) return undefined;
  return figuresOf(receipts, now);
}

function evaluations(now: RunState, split: SplitName): readonly ItemState[] {
  return [...now.items.values()].filter(
    ({ item }) => item.kind === 'evaluation' && item.split === split && item.version === now.version,
  );
}
