/**
 * The step protocol: what one input does to a run. Pure; time, queues and sockets are somebody else's job.
 *
 * Every delivery may come twice, late or never. An item counts once, whoever computed it: any copy has the same bits.
 */

import type { LossSums } from '#kernel';
import { addLossSums } from '#kernel';
import { fillWindow } from './announce-steps.js';
import {
  endAtOnce,
  failNonFinite,
  finishIfMeasured,
  isMeasured,
  judge,
  measureRestored,
  startMeasuring,
} from './end-run.js';
import { metricsOf, NO_SUMS } from './epoch-metrics.js';
import { announceAgain, checkOrder, giveUpOn, handBackHeldBy, reissue, take } from './held-items.js';
import { step as toStep } from './identities.js';
import { commitLease, receiptOfLease, refuseLease } from './leases.js';
import type { EvaluationReceipt, GradientReceipt, LeaseReceipt } from './messages.js';
import { foldTree } from './reduction-tree.js';
import { endsEpoch } from './run-shape.js';
import type { RunEffect, RunInput, RunState } from './run-state.js';
import { withItem, withoutHolder } from './run-state.js';
import { publish, publishIfNeeded, sendWhatIsMissing } from './send-versions.js';
import { evaluationKey, gradientKey, leaseKey, versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];
type AnyReceipt = GradientReceipt | LeaseReceipt | EvaluationReceipt;

/** The run after one input, and what is to be done about it, in order. */
export function advanceRun(now: RunState, input: RunInput): Advance {
  if (now.phase === 'ended') return [now, afterTheEnd(input)];
  switch (input.kind) {
    case 'started':
      // A resumed run may have its last step behind it already, or the rule that ended it.
      return then(publish(now), now.stoppedBy === undefined ? goOn : startMeasuring);
    case 'workers-changed':
      return [{ ...now, workers: input.workers }, []];
    case 'grain-chosen':
      return [{ ...now, plan: input.plan }, []];
    case 'item-taken':
      return take(now, input);
    case 'worker-lost':
      return handBackHeldBy(now, input.worker);
    case 'item-failed':
      return giveUpOn(now, input);
    case 'hand-back-refused':
      return reissue(now, input.itemId);
    case 'gradient-received':
      return receive(now, gradientKey(input.receipt.step, input.receipt.block), input.receipt);
    case 'lease-received':
      return receive(now, leaseKey(input.receipt.step, input.receipt.end), input.receipt);
    case 'evaluation-received':
      return receive(now, evaluationKey(input.receipt.version, input.receipt.split, input.receipt.part), input.receipt);
    case 'averaged':
      if (now.phase !== 'averaging' || input.step !== now.version) return [now, []];
      return input.finite ? commit(now) : failNonFinite(now);
    case 'adopted':
      return adopted(now, input);
    case 'restored':
      return now.phase === 'restoring' ? measureRestored(now) : [now, []];
    case 'tick':
      return checkOrder(now);
    case 'stalled':
      return announceAgain(now);
    case 'stop-requested':
      // An update in progress is let through: half a step can't be given up.
      if (now.phase === 'averaging' || now.phase === 'restoring') return [{ ...now, stoppedBy: 'user' }, []];
      return endAtOnce(now);
    default:
      return input satisfies never;
  }
}

/** The receipts that cover the current step exactly once, in order; undefined while one is missing. */
export function receiptsOfStep(now: RunState): readonly GradientReceipt[] | undefined {
  const receipts: GradientReceipt[] = [];
  let covered = 0;
  for (const { item, receipt } of now.items.values()) {
    if (item.kind !== 'gradient' || item.step !== now.version) continue;
    if (receipt === undefined || !('block' in receipt)) return undefined;
    covered += receipt.block.end - receipt.block.begin;
    receipts.push(receipt);
  }
  if (covered !== now.shape.microBatches) return undefined;
  return receipts.sort((left, right) => left.block.begin - right.block.begin);
}

/** Sums of one step, folded along the tree like its gradient, so that the cut leaves no trace in them. */
export function sumsOfStep(receipts: readonly GradientReceipt[], microBatches: number): LossSums {
  const blocks = receipts.map((receipt): { begin: number; end: number; value: LossSums } => ({
    ...receipt.block,
    value: receipt,
  }));
  return foldTree(blocks, microBatches, addLossSums);
}

/** After the end a worker may still take or send what it was given before: it is told to let go. */
function afterTheEnd(input: RunInput): readonly RunEffect[] {
  if (input.kind === 'item-taken') return [{ kind: 'release', itemId: input.itemId, worker: input.worker }];
  if (input.kind === 'gradient-received' || input.kind === 'lease-received')
    return [{ kind: 'count', outcome: 'stale' }];
  return [];
}

function receive(now: RunState, key: string, receipt: AnyReceipt): Advance {
  const held = now.items.get(key);
  if (held === undefined) return [now, [{ kind: 'count', outcome: 'stale' }]];
  if (held.receipt !== undefined) return [now, countSecond(held.receipt, receipt)];
  const { holder } = held;
  // A copy came from somebody else: the present holder need not wait with it any longer.
  const freed: readonly RunEffect[] =
    holder === undefined || holder.worker === receipt.worker
      ? []
      : [{ kind: 'release', itemId: holder.itemId, worker: holder.worker }];
  const done = withItem(now, key, { ...withoutHolder(held), receipt });
  return then([done, [{ kind: 'count', outcome: 'accepted' }, ...freed]], proceed);
}

/** What comes a second time is never added, and a gradient with other bits than the first is told: they must be equal. */
function countSecond(counted: AnyReceipt, dropped: AnyReceipt): readonly RunEffect[] {
  const differs = 'block' in counted && 'block' in dropped && counted.gradientHash !== dropped.gradientHash;
  if (!differs) return [{ kind: 'count', outcome: 'duplicate' }];
  return [
    { kind: 'count', outcome: 'conflicting' },
    { kind: 'gradients-disagree', counted, dropped },
  ];
}

/** Does what the receipts that are in allow: judge an epoch, average a step, finish. */
function proceed(now: RunState): Advance {
  if (now.phase === 'measuring') return finishIfMeasured(now);
  if (!now.judging) return averageIfComplete(now);
  if (!isMeasured(now, 'validation')) return [now, []];
  const judged = judge(now);
  return then(judged, judged[0].stoppedBy === undefined ? averageIfComplete : startMeasuring);
}

/** Sets off the update of the current step, or the adoption of a lease, once everything for it is in. */
function averageIfComplete(now: RunState): Advance {
  const lease = now.phase === 'training' ? receiptOfLease(now) : undefined;
  if (lease !== undefined) return [{ ...now, phase: 'averaging' }, [{ kind: 'adopt', receipt: lease }]];
  const receipts = now.phase === 'training' ? receiptsOfStep(now) : undefined;
  if (receipts === undefined) return [now, []];
  return [{ ...now, phase: 'averaging' }, [{ kind: 'average', step: now.version, receipts }]];
}

function commit(now: RunState): Advance {
  const receipts = receiptsOfStep(now) ?? [];
  const sums = sumsOfStep(receipts, now.shape.microBatches);
  const version = toStep(now.version + 1);
  const items = new Map([...now.items].filter(([, held]) => versionOf(held.item) >= version));
  const epochSums = addLossSums(now.epochSums, sums);
  const state: RunState = { ...now, version, items, phase: 'training', epochSums };
  const committed: RunEffect = { kind: 'committed', step: now.version, receipts, sums };
  return afterCommit(state, [committed]);
}

function adopted(now: RunState, { step, outcome }: RunInput & { kind: 'adopted' }): Advance {
  const receipt = now.phase === 'averaging' && step === now.version ? receiptOfLease(now) : undefined;
  if (receipt === undefined) return [now, []];
  if (outcome === 'refused') {
    const refused = refuseLease(now, receipt);
    return now.stoppedBy === 'user' && refused[0].phase !== 'ended' ? then(refused, endAtOnce) : refused;
  }
  const [state, effects] = commitLease(now, receipt);
  return state.phase === 'ended' ? [state, effects] : afterCommit(state, effects);
}

/** What workers need of the new version goes out first, then records are written, then the run goes on. */
function afterCommit(now: RunState, records: readonly RunEffect[]): Advance {
  if (now.stoppedBy === 'user') return then([now, records], endAtOnce);
  const [sent, sending] = announceMissing(now);
  return then([sent, [...sending, ...records]], endsEpoch(sent.shape, sent.version) ? endEpoch : goOn);
}

/** Sends the current version to whoever holds, or may take, an item of it and lacks it. */
function announceMissing(now: RunState): Advance {
  const [state, effects] = publishIfNeeded(now);
  const wanted = [...now.items.values()].filter(({ item }) => item.kind === 'lease');
  return [state, [...effects, ...wanted.flatMap((held) => sendWhatIsMissing(now, held))]];
}

function endEpoch(now: RunState): Advance {
  const epoch = now.version / now.shape.stepsPerEpoch - 1;
  const train = metricsOf(now.epochSums, now.task, now.targetCount);
  return goOn({ ...now, epochSums: NO_SUMS, lastEpoch: { epoch, train }, judging: true });
}

function goOn(now: RunState): Advance {
  if (now.version >= now.shape.steps) return startMeasuring(now);
  return then(then(fillWindow(now), publishIfNeeded), proceed);
}

function then([state, effects]: Advance, next: (state: RunState) => Advance): Advance {
  const [after, more] = next(state);
  return [after, [...effects, ...more]];
}
