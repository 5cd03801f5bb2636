/** What was in whose hands lately: the part of a run that is seen and forgotten, not written down. */
import {
  blockKey,
  type EvaluationReceipt,
  evaluationKey,
  type Fence,
  type GradientReceipt,
  gradientKey,
  keyOfItemId,
  type LeaseReceipt,
  leaseKey,
  type RunEffect,
  type RunId,
  type RunInput,
  type RunState,
  type WorkerItem,
} from '#training';
import type { EpochCoverage, LiveRun, WorkOutcome } from '../page/messages.js';
import type { Arrival } from './uploads.js';

/** Pieces of work remembered: some seconds of the shortest steps, minutes of leases. */
const MOST_PIECES = 240;
const MOST_DISTURBED = 300;
/** Times between commits that tell what is usual. */
const REMEMBERED_COMMITS = 32;
/** Weight of the newest result in a worker's speed. */
const SMOOTHING = 0.3;

/** A piece of work in one worker's hands, on the coordinator's monotonic clock. */
export interface Piece {
  readonly worker: string;
  readonly kind: 'gradient' | 'lease' | 'evaluation' | 'average';
  readonly key: string;
  readonly step: number;
  readonly what: string;
  readonly earlier: number;
  readonly takenAt: number;
  outcome: WorkOutcome;
  released?: boolean;
  computeMs?: number;
  uploadFrom?: number;
  endedAt?: number;
}

interface Speed {
  samplesPerMs?: number;
  failures: number;
  counted: number;
}

type Receipt = GradientReceipt | LeaseReceipt | EvaluationReceipt;

export class RunActivity {
  readonly #run: RunId;
  readonly #fence: Fence;
  readonly #now: () => number;
  /** Oldest first. */
  readonly #pieces: Piece[] = [];
  /** How often an item that is not committed yet was taken. */
  readonly #takes = new Map<string, number>();
  readonly #speeds = new Map<string, Speed>();
  readonly #commitsMs: number[] = [];
  #disturbed: EpochCoverage['disturbed'][number][] = [];
  readonly #counts = { accepted: 0, duplicate: 0, conflicting: 0, stale: 0, reissued: 0 };
  #committedAt: number;
  #averagingSince: number | undefined;

  constructor({ run, fence }: { readonly run: RunId; readonly fence: Fence }, now = () => performance.now()) {
    this.#run = run;
    this.#fence = fence;
    this.#now = now;
    this.#committedAt = now();
  }

  get pieces(): readonly Piece[] {
    return this.#pieces;
  }

  get counts(): LiveRun['counts'] {
    return this.#counts;
  }

  get disturbed(): EpochCoverage['disturbed'] {
    return this.#disturbed;
  }

  get committedAt(): number {
    return this.#committedAt;
  }

  /** Median of the times between the last commits. */
  get usualMs(): number | undefined {
    return [...this.#commitsMs].sort((left, right) => left - right)[Math.floor(this.#commitsMs.length / 2)];
  }

  speedOf(worker: string): Readonly<Speed> {
    return this.#speeds.get(worker) ?? { failures: 0, counted: 0 };
  }

  /** When the frames of a result came in. */
  arrived(receipt: GradientReceipt | LeaseReceipt, { firstFrameAt }: Arrival): void {
    const piece = this.#pieces.findLast((one) => one.worker === receipt.worker && one.key === keyOf(receipt));
    if (piece !== undefined) piece.uploadFrom = firstFrameAt;
  }

  /** One turn of the step protocol. @param after the run's state behind it */
  saw(input: RunInput, effects: readonly RunEffect[], after: RunState): void {
    if (input.kind === 'tick' && effects.length === 0) return;
    for (const effect of effects) this.#effect(effect, after);
    switch (input.kind) {
      case 'item-taken':
        this.#taken(input.itemId, input.worker, after);
        return;
      case 'gradient-received':
      case 'lease-received':
      case 'evaluation-received':
        this.#received(input.receipt, effects);
        return;
      case 'worker-lost':
        for (const piece of this.#pieces) if (piece.worker === input.worker) this.#end(piece, 'lost');
        return;
      case 'item-failed': {
        this.#speed(input.worker).failures++;
        const key = this.#keyOf(input.itemId);
        for (const piece of this.#pieces)
          if (piece.worker === input.worker && piece.key === key) this.#end(piece, 'failed');
        return;
      }
      case 'averaged':
      case 'adopted':
        this.#averaged(input.step);
        return;
      default:
    }
  }

  #effect(effect: RunEffect, after: RunState): void {
    if (effect.kind === 'count') this.#counts[effect.outcome]++;
    else if (effect.kind === 'release') {
      const key = this.#keyOf(effect.itemId);
      for (const piece of this.#pieces)
        if (piece.worker === effect.worker && piece.key === key && piece.outcome === 'held') piece.released = true;
    } else if (effect.kind === 'average' || effect.kind === 'adopt') this.#averagingSince = this.#now();
    else if (effect.kind === 'committed' || effect.kind === 'lease-committed') this.#committed(after);
    else if (effect.kind === 'epoch-finished') this.#disturbed = [];
  }

  #committed(after: RunState): void {
    const now = this.#now();
    this.#commitsMs.push(now - this.#committedAt);
    if (this.#commitsMs.length > REMEMBERED_COMMITS) this.#commitsMs.shift();
    this.#committedAt = now;
    for (const key of this.#takes.keys()) if (!after.items.has(key)) this.#takes.delete(key);
  }

  #taken(itemId: string, worker: string, { items }: RunState): void {
    const key = this.#keyOf(itemId);
    const held = key === undefined ? undefined : items.get(key);
    // A worker has one place: what it was to let go of it has let go of by now.
    for (const piece of this.#pieces)
      if (piece.worker === worker && piece.released === true) this.#end(piece, 'let go');
    if (key === undefined || held === undefined || held.holder?.itemId !== itemId) return;
    const earlier = this.#takes.get(key) ?? 0;
    this.#takes.set(key, earlier + 1);
    this.#add({
      worker,
      kind: held.item.kind,
      key,
      step: held.item.kind === 'evaluation' ? held.item.version : held.item.step,
      what: describeItem(held.item),
      earlier,
      takenAt: this.#now(),
      outcome: 'held',
    });
  }

  #received(receipt: Receipt, effects: readonly RunEffect[]): void {
    const key = keyOf(receipt);
    const counted = effects.find((effect) => effect.kind === 'count');
    const outcome = counted?.outcome ?? 'stale';
    const piece = this.#pieces.findLast((one) => one.worker === receipt.worker && one.key === key);
    const worked = 'computeMs' in receipt ? { computeMs: receipt.computeMs } : {};
    const became = outcome === 'accepted' ? 'counted' : outcome === 'stale' ? 'stale' : 'duplicate';
    if (piece === undefined || (piece.outcome !== 'held' && piece.outcome !== 'lost')) {
      // Nobody said that it was taken: a copy that was on its way when its worker was given up.
      this.#add({
        ...unannounced(receipt, key),
        earlier: 1,
        takenAt: this.#now(),
        endedAt: this.#now(),
        outcome: became,
        ...worked,
      });
    } else {
      Object.assign(piece, worked, { outcome: became, endedAt: this.#now() });
    }
    const speed = this.#speed(receipt.worker);
    if (became === 'counted') {
      speed.counted++;
      const samples =
        'steps' in receipt ? receipt.steps.reduce((sum, { sampleCount }) => sum + sampleCount, 0) : receipt.sampleCount;
      if ('computeMs' in receipt && receipt.computeMs > 0) {
        const newest = samples / receipt.computeMs;
        speed.samplesPerMs = (speed.samplesPerMs ?? newest) + SMOOTHING * (newest - (speed.samplesPerMs ?? newest));
      }
    }
    const again = (this.#takes.get(key) ?? 1) > 1;
    if (!('version' in receipt) && ((became === 'counted' && again) || became === 'duplicate')) {
      const end = 'end' in receipt ? receipt.end : receipt.step + 1;
      this.#disturbed.push({ from: receipt.step, end, kind: became === 'counted' ? 'again' : 'copy' });
      if (this.#disturbed.length > MOST_DISTURBED) this.#disturbed.shift();
    }
  }

  #averaged(step: number): void {
    if (this.#averagingSince === undefined) return;
    const since = this.#averagingSince;
    this.#averagingSince = undefined;
    const what = `average of step ${step}`;
    this.#add({
      worker: '',
      kind: 'average',
      key: '',
      step,
      what,
      earlier: 0,
      takenAt: since,
      endedAt: this.#now(),
      outcome: 'counted',
    });
  }

  #speed(worker: string): Speed {
    const known = this.#speeds.get(worker) ?? { failures: 0, counted: 0 };
    this.#speeds.set(worker, known);
    return known;
  }

  #add(piece: Piece): void {
    this.#pieces.push(piece);
    if (this.#pieces.length > MOST_PIECES) this.#pieces.shift();
  }

  #end(piece: Piece, outcome: WorkOutcome): void {
    if (piece.outcome !== 'held') return;
    piece.outcome = outcome;
    piece.endedAt = this.#now();
  }

  #keyOf(itemId: string): string | undefined {
    return keyOfItemId(itemId, this.#run, this.#fence);
  }
}

function keyOf(receipt: Receipt): string {
  if ('block' in receipt) return gradientKey(receipt.step, receipt.block);
  if ('steps' in receipt) return leaseKey(receipt.step, receipt.end);
  return evaluationKey(receipt.version, receipt.split, receipt.part);
}

/** An item as people call it. */
export function describeItem(item: WorkerItem, within: 'run' | 'step' = 'run'): string {
  switch (item.kind) {
    case 'gradient':
      return within === 'step' ? `block ${blockKey(item.block)}` : `step ${item.step}, block ${blockKey(item.block)}`;
    case 'lease':
      return item.end - item.step === 1 ? `step ${item.step}` : `steps ${item.step} to ${item.end - 1}`;
    case 'evaluation':
      return `${item.split} after step ${item.version}, part ${item.part + 1}`;
    default:
      return item satisfies never;
  }
}

function unannounced(receipt: Receipt, key: string): Pick<Piece, 'worker' | 'kind' | 'key' | 'step' | 'what'> {
  const { worker } = receipt;
  if ('block' in receipt) {
    const what = `step ${receipt.step}, block ${blockKey(receipt.block)}`;
    return { worker, kind: 'gradient', key, step: receipt.step, what };
  }
  if ('steps' in receipt) {
    return { worker, kind: 'lease', key, step: receipt.step, what: `steps ${receipt.step} to ${receipt.end - 1}` };
  }
  return { worker, kind: 'evaluation', key, step: receipt.version, what: `${receipt.split}, part ${receipt.part + 1}` };
}
