/** Trains one prepared run: feeds what happens to the step protocol and does what the protocol answers. */
import { setImmediate as turnEnd } from 'node:timers/promises';
import {
  type AverageItem,
  advanceRun,
  failpoint,
  type GradientProof,
  type GradientReceipt,
  gradientKey,
  isProgress,
  type LeaseProof,
  type LeaseReceipt,
  type RunEffect,
  type RunInput,
  type RunState,
  type Step,
  toEnvelope,
  type WorkerId,
  type WorkerMessage,
} from '#training';
import { averageBlocks } from './average-blocks.js';
import { AveragingGate } from './averaging-gate.js';
import { beginRun } from './begin-run.js';
import { keepBest, restoreBest } from './best-weights.js';
import { GradientInbox } from './gradient-inbox.js';
import { type GrainChooser, type GrainListener, grainChooserOf } from './grain-chooser.js';
import { LateRecord } from './late-record.js';
import { LeaseDesk } from './lease-desk.js';
import type { Member } from './membership.js';
import type { PreparedRun } from './prepare-run.js';
import { PublishedWeights } from './published-weights.js';
import { Quarantine } from './quarantine.js';
import { QueueLine } from './queue-line.js';
import type { RunContext } from './run-context.js';
import { errorWithRows, type RunOutcome, stepFailed, type TrainerListener } from './run-outcome.js';
import { type Averaged, RunRecord } from './run-record.js';
import { SecondLooks } from './second-looks.js';

/** Without any progress for so long, what the queue was given is announced again: it may have been emptied. */
const STALL_MS = 3_000;

export class RunTrainer {
  readonly record: RunRecord;
  readonly #context: RunContext;
  readonly #prepared: PreparedRun;
  readonly #listener: TrainerListener;
  readonly #inbox: GradientInbox;
  readonly #leases: LeaseDesk;
  readonly #grain: GrainChooser;
  readonly #looks: SecondLooks;
  readonly quarantine: Quarantine;
  readonly #gate = new AveragingGate();
  readonly #published: PublishedWeights;
  readonly #late = new LateRecord((error) => this.#fail('recorded', error));
  readonly #queue: QueueLine;
  #state: RunState;
  #averaged: Averaged | undefined;
  /** Of the run's weights, once a step has been made. */
  #weightsHash: string | undefined;
  #lastMoveAt = performance.now();

  constructor(context: RunContext, prepared: PreparedRun, listener: TrainerListener) {
    this.#context = context;
    this.#prepared = prepared;
    this.#listener = listener;
    this.record = new RunRecord(context, prepared);
    this.#inbox = new GradientInbox(prepared.engine);
    this.#published = new PublishedWeights(prepared);
    this.#leases = new LeaseDesk(context, prepared);
    this.#queue = new QueueLine(context, prepared, (itemId) => this.#advance({ kind: 'hand-back-refused', itemId }));
    this.quarantine = new Quarantine(context);
    this.#looks = new SecondLooks(context, prepared, this.quarantine);
    this.#weightsHash = prepared.resumed?.weightsHash;
    const told: GrainListener = (decision, workers) => this.record.grainChosen(decision, workers);
    this.#grain = grainChooserOf(context.configuration.grain, prepared, told);
    this.#state = beginRun(prepared);
  }

  get state(): RunState {
    return this.#state;
  }

  /** Announces the first steps, cut for the workers that are ready by now. */
  start(): void {
    this.#countWorkers();
    this.record.begin();
    this.#advance({ kind: 'started' });
  }

  stop(): void {
    this.#advance({ kind: 'stop-requested' });
    // A step that waits for its job is let through without it: the queue may be gone for good.
    const ready = this.#state.phase === 'averaging' ? this.#gate.take() : undefined;
    if (ready === undefined) return;
    this.#averageStep(ready.step, ready.receipts).catch((error: unknown) => {
      this.#context.log.error('average_failed', { step: ready.step, error });
    });
  }

  /** A worker is ready for this run: it gets the current weights and counts for the steps announced from now on. */
  joined(member: Member): void {
    this.quarantine.joined(member.hello.worker);
    this.#countWorkers();
    const { frames } = this.#published;
    if (frames !== undefined) member.session.sendWeights(frames);
  }

  lost(member: Member, reason: string, detectedInMs: number): void {
    const { worker, pid } = member.hello;
    this.#inbox.forget(worker);
    this.#leases.forget(worker);
    const before = this.record.blocksReissued;
    this.#advance({ kind: 'worker-lost', worker });
    this.#queue.perform({ kind: 'hand-back-of', worker });
    this.#countWorkers();
    if (member.draining === undefined) {
      this.quarantine.lost(worker, reason);
      const blocksReissued = this.record.blocksReissued - before;
      this.record.workerLost({ worker, pid, reason, blocksReissued, detectedInMs });
    } else this.#context.events.append({ event: 'worker_left', worker, pid, reason: member.draining });
  }

  receive(member: Member, message: WorkerMessage): void {
    const { worker } = member.hello;
    if (message.kind === 'gradient-frame') {
      this.#inbox.accept(this.#state, worker, message.frame);
      if (message.proof !== undefined) this.#receiveGradient(message.proof);
    } else if (message.kind === 'lease-frame') {
      this.#leases.accept(this.#state, worker, message.frame);
      if (message.proof !== undefined) this.#receiveLease(message.proof);
    } else if (message.kind === 'evaluation-receipt') {
      failpoint('during-evaluation');
      if (this.#isOurs(message.receipt)) this.#advance({ kind: 'evaluation-received', receipt: message.receipt });
    } else if (message.kind === 'job-taken') {
      const { itemId, token, holds } = message;
      this.#advance({ kind: 'item-taken', itemId, token, worker, ...(holds === undefined ? {} : { holds }) });
    } else if (message.kind === 'job-failed') {
      this.#context.metrics.itemFailed('failed');
      this.#context.log.warn('item_failed', { worker, item: message.itemId, message: message.message });
      this.#failed(message.itemId, worker, message.message);
    }
  }

  /**
   * The averages queue's processor: folds blocks, updates and publishes until the item's step is committed.
   *
   * Steps are averaged in their order, whichever item is in hand. The queue gives one at a time, and after it has lost
   * and regained its items that may be a later one: it would wait for ever for the earlier that stands behind it.
   */
  async average(item: AverageItem, signal: AbortSignal): Promise<unknown> {
    if (!this.#isOurs(item)) return 'of another run';
    const needed = (): boolean => this.#state.phase !== 'ended' && item.step >= this.#state.version;
    let outcome: unknown = 'obsolete';
    for (let ready = await this.#gate.next(needed, signal); ready; ready = await this.#gate.next(needed, signal)) {
      outcome = await this.#averageStep(ready.step, ready.receipts);
      await turnEnd(); // the new weights go out before the queue is told
    }
    return outcome;
  }

  /** Called every few milliseconds: finds items that were passed over, and runs in which nothing moves any more. */
  checkProgress(): void {
    const { failure } = this.#prepared.ledger;
    // What is trained without a ledger would have to be trained again.
    if (failure?.code === 'STORAGE.WRITE') this.#end({ kind: 'failed', error: toEnvelope(failure) });
    this.#advance({ kind: 'tick', atMs: performance.now() });
    const waitsForQueue = this.#state.phase !== 'ended' && this.#state.workers > 0;
    if (!waitsForQueue || performance.now() - this.#lastMoveAt < STALL_MS) return;
    this.#lastMoveAt = performance.now();
    this.#advance({ kind: 'stalled' });
  }

  /** Resolves when every effect on the queues so far is done. */
  queueSettled(): Promise<void> {
    return this.#queue.settled();
  }

  #isOurs(what: { readonly run: string; readonly fence: number }): boolean {
    return what.run === this.#prepared.shape.run && what.fence === this.#prepared.shape.fence;
  }

  get #readyMembers(): readonly Member[] {
    return this.#context.membership.members.filter(({ readyFor }) => readyFor !== undefined && this.#isOurs(readyFor));
  }

  #countWorkers(): void {
    // More of them stand by: a step is not cut into more blocks than there is room to receive.
    const workers = Math.min(this.#readyMembers.length, this.#prepared.mostBlocks);
    this.#advance({ kind: 'workers-changed', workers });
    this.#looks.workersChanged(workers);
    this.#chooseGrain();
  }

  /** How what is announced next is leased, by what was measured so far. */
  #chooseGrain(): void {
    const ready = this.#readyMembers;
    if (ready.length === 0 || this.#state.phase === 'ended') return;
    const canLease = this.#prepared.plan.leases !== undefined && ready.every(({ readyFor }) => readyFor?.takesLeases);
    const plan = this.#grain.choose(
      ready.map(({ hello }) => hello.worker),
      canLease,
    );
    this.#advance({ kind: 'grain-chosen', plan });
  }

  #receiveLease({ itemId, receipt }: LeaseProof): void {
    if (!this.#isOurs(receipt)) this.#context.metrics.gradientReceived('stale');
    else if (this.#leases.received(this.#state, receipt))
      this.#advance({ kind: 'lease-received', receipt, atMs: performance.now() });
    else this.#incomplete(itemId, receipt.worker);
  }

  /** Not all that its receipt speaks of came: somebody has to compute it again. */
  #incomplete(itemId: string, worker: WorkerId): void {
    this.#context.metrics.itemFailed('incomplete');
    this.#context.log.warn('upload_incomplete', { worker, item: itemId });
    this.#failed(itemId, worker, 'its result did not arrive whole');
  }

  #failed(itemId: string, worker: WorkerId, message: string): void {
    this.#advance({ kind: 'item-failed', itemId, worker, message });
    const { membership } = this.#context;
    if (this.quarantine.failed(worker, message)) queueMicrotask(() => membership.dismiss(worker, message));
  }

  #receiveGradient({ itemId, receipt }: GradientProof): void {
    if (!this.#isOurs(receipt)) this.#context.metrics.gradientReceived('stale');
    if (!this.#isOurs(receipt)) return;
    const arrival = this.#inbox.complete(this.#state, receipt);
    const held = this.#state.items.get(gradientKey(receipt.step, receipt.block));
    const wanted = held !== undefined && held.receipt === undefined;
    if (wanted && arrival !== undefined) this.record.arrived(receipt, arrival);
    if (wanted && arrival === undefined) this.#incomplete(itemId, receipt.worker);
    else this.#advance({ kind: 'gradient-received', receipt, atMs: performance.now() });
  }

  #advance(input: RunInput): void {
    const [state, effects] = advanceRun(this.#state, input);
    this.#state = state;
    this.record.activity.saw(input, effects, state);
    if (effects.some(isProgress)) this.#lastMoveAt = performance.now();
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: RunEffect): void {
    const { membership } = this.#context;
    switch (effect.kind) {
      case 'announce':
      case 'hand-back':
      case 'withdraw':
      case 'release':
        this.#queue.perform(effect);
        return;
      case 'average':
        this.#gate.open(effect);
        return;
      case 'adopt':
        this.#adopt(effect.receipt).catch((error: unknown) => this.#fail('adopted', error));
        return;
      case 'copy':
      case 'verified':
      case 'distrust':
        this.#looks.perform(effect);
        return;
      case 'roll-back':
        this.#end({ kind: 'rolled-back', step: effect.step, to: effect.to, trouble: effect.trouble });
        return;
      case 'send-state':
        membership.sendWeights(effect.worker, this.#leases.encodedState(effect.version));
        return;
      case 'send-weights':
        if (this.#published.frames !== undefined) membership.sendWeights(effect.worker, this.#published.frames);
        return;
      case 'committed':
        this.#commit(effect);
        return;
      case 'lease-committed':
        this.#commitLease(effect);
        return;
      case 'publish':
        this.#published.publish(effect.version, this.#readyMembers);
        return;
      case 'restore':
        this.#restore(effect.best.step).catch((error: unknown) => this.#fail('taken back', error));
        return;
      case 'epoch-finished':
        if (effect.best) keepBest(this.#prepared, this.#state);
        this.#late.write(); // a checkpoint of a step before may still need what was the best until now
        this.#prepared.best.forgetBefore();
        failpoint('epoch-change');
        this.record.epochFinished(effect, this.#state);
        return;
      case 'count':
        if (effect.outcome === 'accepted') failpoint('after-first-gradient');
        if (effect.outcome === 'reissued') this.record.reissued();
        else this.#context.metrics.gradientReceived(effect.outcome);
        return;
      case 'gradients-disagree':
        this.record.gradientsDisagree(effect);
        return;
      case 'finish':
        this.#end({ kind: 'finished', stoppedBy: effect.stoppedBy, metrics: effect.metrics });
        return;
      case 'fail':
        this.#end({ kind: 'failed', error: errorWithRows(effect, this.#prepared) });
        return;
      default:
        effect satisfies never;
    }
  }

  #commit(effect: RunEffect & { kind: 'committed' }): void {
    const { step } = effect;
    for (const { worker } of effect.receipts) this.quarantine.accepted(worker);
    if (this.#averaged === undefined) throw new Error(`step ${step} was committed without an average`);
    const figures = { ...this.#averaged, ...this.record.published() };
    this.#weightsHash = figures.weightsHash;
    if (effect.skipped === undefined)
      this.#grain.shared({ ...figures, blocksMs: effect.receipts.map(({ computeMs }) => computeMs) });
    this.#recordSoon(() => this.record.committed(effect, figures));
  }

  #commitLease(effect: RunEffect & { kind: 'lease-committed' }): void {
    const timing = this.record.published(effect.steps.length);
    this.quarantine.accepted(effect.receipt.worker);
    this.#weightsHash = effect.steps.at(-1)?.weightsHash;
    this.#grain.leased(effect.receipt);
    this.#recordSoon(() => this.record.leaseCommitted(effect, timing));
  }

  /** @param write returns the newest step's mean loss */
  #recordSoon(write: () => number): void {
    const state = this.#state;
    failpoint('after-commit');
    this.#late.soon(() => this.#listener.committed(state, write()));
  }

  async #adopt(receipt: LeaseReceipt): Promise<void> {
    this.#late.write(); // of the steps before, whose weights are about to change
    const arrival = this.#leases.arrivalOf(receipt);
    if (arrival !== undefined) this.record.arrived(receipt, arrival);
    const startedAt = performance.now();
    const outcome = await this.#leases.adopt(receipt, this.#weightsHash);
    failpoint('after-adopt');
    this.record.averaged(performance.now() - startedAt);
    this.#advance({ kind: 'adopted', step: receipt.step, outcome });
    this.#chooseGrain();
  }

  async #restore(step: Step): Promise<void> {
    this.#late.write();
    await this.#listener.restoring(this.#state);
    await restoreBest(this.#prepared, step);
    this.#advance({ kind: 'restored' });
  }

  /** What a step could not be; nothing may count after it. */
  #fail(what: string, cause: unknown): void {
    this.#end({ kind: 'failed', error: toEnvelope(stepFailed(this.#prepared.shape.run, what, cause)) });
  }

  #end(outcome: RunOutcome): void {
    this.#late.write();
    this.#gate.recheck();
    this.#listener.ended(outcome);
  }

  async #averageStep(step: Step, receipts: readonly GradientReceipt[]): Promise<unknown> {
    this.#late.write(); // of the step before, whose weights are about to change
    failpoint('before-average');
    const startedAt = performance.now();
    const suspected = this.#state.confirming === step;
    const averaging = this.#context.traces.averaging(step, () =>
      averageBlocks(this.#prepared, step, receipts, suspected),
    );
    const result = await averaging.catch((error: unknown) => {
      // Nobody comes for these receipts again, and half an update can't be undone.
      this.#fail(`averaged (step ${step})`, error);
      throw error;
    });
    failpoint('after-average');
    this.record.averaged(performance.now() - startedAt);
    const { averaged, finite, trouble } = result;
    this.#averaged = averaged;
    this.#advance({ kind: 'averaged', step, finite, ...(trouble === undefined ? {} : { trouble }) });
    this.#chooseGrain();
    return { step, weights: averaged.weightsHash };
  }
}
