/**
 * Items that more than one worker computes: a drawn share of all, those of a step that is not finite, and those of which
 * two results differ. A result counts when two different workers found the same; whoever found something else is named.
 */
import { PHILOX_DOMAIN, philox4x32, philoxKey } from '#kernel';
import { RopeteamError, toEnvelope } from './errors.js';
import type { WorkerId } from './identities.js';
import type { EvaluationReceipt, GradientReceipt, LeaseReceipt } from './messages.js';
import { reissue } from './reissue.js';
import type { CopyReason, ItemState, Opinion, RunEffect, RunState } from './run-state.js';
import { othersAreThere, releaseAll, withItem, withoutHolder } from './run-state.js';
import type { WorkerItem } from './work-items.js';
import { itemId, itemKey, versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];
type AnyReceipt = GradientReceipt | LeaseReceipt | EvaluationReceipt;

/** Results of one item at the most: where no two agree by then, nobody can say what is right. */
const MOST_OPINIONS = 6;
/** Contributions of a worker that are named at the most, the newest. */
const MOST_UNPROVEN = 256;

/** What tells one result from another: the hashes that its receipt has. */
export function proofOf(receipt: AnyReceipt): string {
  if ('block' in receipt) return receipt.gradientHash;
  if ('steps' in receipt) {
    const last = receipt.steps.at(-1);
    return `${receipt.startHash}.${receipt.steps.length}.${last?.gradientHash}.${last?.finite ? last.weightsHash : 'none'}`;
  }
  return [receipt.sampleCount, receipt.lossSum, receipt.correctCount].join('.');
}

/** Whether an item is among the share that two workers compute: drawn from the seed, so the same in every run. */
export function isDrawn(now: RunState, item: WorkerItem): boolean {
  if (now.verify === undefined || item.kind === 'evaluation') return false;
  const { share, seed } = now.verify;
  const block = item.kind === 'gradient' ? item.block.begin : now.shape.microBatches;
  const [word] = philox4x32([versionOf(item), block, 0, PHILOX_DOMAIN.verification], philoxKey(seed));
  return word / 2 ** 32 < share;
}

/** What a worker found of an item that more than one is asked about. */
export function hear(
  now: RunState,
  held: ItemState,
  receipt: AnyReceipt,
  accept: (now: RunState, held: ItemState) => Advance,
): Advance {
  const before = held.opinions ?? [];
  const own = opinionOf(receipt);
  // Said once more is nothing new, as long as somebody else can be asked.
  const said = before.some(({ worker, proof }) => worker === own.worker && proof === own.proof);
  const known =
    said &&
    othersAreThere(
      now,
      before.map(({ worker }) => worker),
    );
  const opinions: readonly Opinion[] = known ? before : [...before, own];
  const { item } = held;
  const { proof } = own;
  const same = opinions.filter((opinion) => opinion.proof === proof);
  const differ = opinions.length > same.length;
  const supporters = new Set(same.map(({ worker }) => worker));
  const heardOf = new Set(opinions.map(({ worker }) => worker));
  // Nobody else is there to ask: what one worker says of itself is all there is.
  const alone = heardOf.size === 1 && !othersAreThere(now, heardOf) && (!differ || same.length >= 2);
  const heard = withItem(now, itemKey(item), { ...withoutHolder(held), opinions });
  if (supporters.size >= 2 || alone) {
    const [state, effects] = settle(heard, item, opinions, proof);
    const [after, rest] = accept(state, { ...held, opinions });
    return [after, [...effects, ...rest]];
  }
  if (opinions.length >= MOST_OPINIONS && differ) return undecided(heard, item, opinions);
  // Somebody has a copy in hand already.
  if (held.holder !== undefined && held.holder.worker !== receipt.worker) {
    return [withItem(heard, itemKey(item), { ...held, opinions }), []];
  }
  return askAnother(heard, item, differ ? 'disagreement' : 'verify');
}

/** An item that seemed done is not believed: its result and those that follow are compared. */
export function doubt(now: RunState, held: ItemState, opinions: readonly Opinion[], reason: CopyReason): Advance {
  const { receipt: _, copied: __, ...free } = held;
  return askAnother(withItem(now, itemKey(held.item), { ...free, opinions }), held.item, reason);
}

export function opinionOf(receipt: AnyReceipt): Opinion {
  return { worker: receipt.worker, proof: proofOf(receipt) };
}

function askAnother(now: RunState, item: WorkerItem, reason: CopyReason): Advance {
  return reissue(now, itemId(item), { kind: 'copy', item, reason });
}

function settle(now: RunState, item: WorkerItem, opinions: readonly Opinion[], proof: string): Advance {
  const right = new Set(opinions.filter((opinion) => opinion.proof === proof).map(({ worker }) => worker));
  const wrong = new Set(opinions.filter((opinion) => opinion.proof !== proof).map(({ worker }) => worker));
  const outcome = wrong.size > 0 ? 'disagreed' : right.size > 1 ? 'agreed' : 'alone';
  const effects: RunEffect[] = [{ kind: 'verified', item, outcome }];
  const unproven = new Map(now.unproven);
  if (right.size > 1) for (const worker of right) unproven.delete(worker);
  for (const worker of wrong) {
    const reason = `it computed other bits for ${itemKey(item)} than ${[...right].filter((one) => one !== worker).join(' and ') || 'it did itself before'}`;
    effects.push({ kind: 'distrust', worker, reason, unproven: now.unproven.get(worker) ?? [] });
    unproven.delete(worker);
  }
  return [{ ...now, unproven }, effects];
}

function undecided(now: RunState, item: WorkerItem, opinions: readonly Opinion[]): Advance {
  const workers = [...new Set(opinions.map(({ worker }) => worker))];
  const error = new RopeteamError(
    'INTEGRITY.DISAGREEMENT',
    { step: versionOf(item), block: itemKey(item), workers: workers.join(', ') },
    `workers ${workers.join(', ')} compute different bits for ${itemKey(item)}, and no two of ${opinions.length} results are the same`,
    {
      hint: 'start a third worker on another machine, so that two can agree, and resume; one of these machines computes wrong',
    },
  );
  return [
    { ...now, phase: 'ended', items: new Map() },
    [{ kind: 'withdraw' }, ...releaseAll(now), { kind: 'fail', error: toEnvelope(error) }],
  ];
}

/** A worker's result counts, and nobody has compared it. */
export function withUnproven(now: RunState, worker: WorkerId, item: WorkerItem): RunState {
  if (now.verify === undefined || item.kind === 'evaluation') return now;
  const unproven = new Map(now.unproven);
  unproven.set(worker, [...(unproven.get(worker) ?? []), itemKey(item)].slice(-MOST_UNPROVEN));
  return { ...now, unproven };
}
