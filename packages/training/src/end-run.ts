/** How epochs are judged and runs end: the last measurement, the user's stop. */

import type { LossSums } from '#kernel';
import { addLossSums } from '#kernel';
import type { SplitName } from './dataset.js';
import { metricsOf, NO_SUMS } from './epoch-metrics.js';
import type { Metrics } from './events.js';
import { evaluationItems } from './run-shape.js';
import type { ItemState, RunEffect, RunState } from './run-state.js';
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
  const validation = metricsOfSplit(now, 'validation');
  const losses = { train: lastEpoch.train.loss, ...(validation === undefined ? {} : { validation: validation.loss }) };
  const [stop, stoppedBy] = judgeEpoch(now.stop, now.rules, losses);
  const finished = { ...lastEpoch, ...(validation === undefined ? {} : { validation }) };
  const state: RunState = { ...now, judging: false, stop, lastEpoch: finished };
  return [stoppedBy === undefined ? state : { ...state, stoppedBy }, [{ kind: 'epoch-finished', ...finished }]];
}

/** Training is over: what is still announced is withdrawn, and the splits not yet measured at this version are. */
export function startMeasuring(now: RunState): Advance {
  const splits: readonly SplitName[] = ['validation', 'test'];
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
  if (!isMeasured(now, 'validation') || !isMeasured(now, 'test')) return [now, []];
  const [judged, effects] = now.judging ? judge(now) : [now, []];
  const train = trainMetrics(judged);
  const validation = metricsOfSplit(judged, 'validation');
  const test = metricsOfSplit(judged, 'test');
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
  const train = trainMetrics(now);
  const ended: RunState = { ...now, phase: 'ended', stoppedBy: 'user', items: new Map() };
  return [
    ended,
    [
      { kind: 'withdraw' },
      ...releaseAll(now),
      { kind: 'finish', stoppedBy: 'user', metrics: train === undefined ? {} : { train } },
    ],
  ];
}

/** Of the epoch in progress where a run ends within one, else of the last whole epoch. */
function trainMetrics(now: RunState): Metrics | undefined {
  return now.epochSums.sampleCount > 0 ? metricsOf(now.epochSums, now.task, now.targetCount) : now.lastEpoch?.train;
}

/** Sums are added part by part in order; undefined for a split that was not measured at the current version. */
function metricsOfSplit(now: RunState, split: SplitName): Metrics | undefined {
  const receipts = evaluations(now, split)
    .flatMap(({ receipt }) => (receipt !== undefined && 'part' in receipt ? [receipt] : []))
    .sort((left, right) => left.part - right.part);
  if (receipts.length === 0) return undefined;
  return metricsOf(receipts.reduce<LossSums>(addLossSums, NO_SUMS), now.task, now.targetCount);
}

function evaluations(now: RunState, split: SplitName): readonly ItemState[] {
  return [...now.items.values()].filter(
    ({ item }) => item.kind === 'evaluation' && item.split === split && item.version === now.version,
  );
}
