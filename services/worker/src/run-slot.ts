import { setImmediate as turnEnd } from 'node:timers/promises';
import { collectClosedMemory, type KernelName } from '#engine';
import type { Logger, WorkerMetrics } from '#telemetry';
import {
  type CoordinatorMessage,
  type CoordinatorSession,
  type Fence,
  failpoint,
  RopeteamError,
  type RunId,
  type RunPlan,
  type Step,
  type WorkerItem,
} from '#training';
import type { WorkerConfiguration } from './configuration.js';
import { openWorkerRun, type WorkerRun } from './worker-run.js';

interface OpenRun {
  readonly plan: RunPlan;
  readonly run: Promise<WorkerRun>;
  /** The same, once it is there. */
  opened?: WorkerRun;
}

export interface RunSlotOptions {
  readonly configuration: WorkerConfiguration;
  /** What this worker offered to compute with, by id. */
  readonly kernels: ReadonlyMap<string, KernelName>;
  /** The highest fence seen of each run, in any session. */
  readonly fences: Map<RunId, Fence>;
  readonly session: CoordinatorSession;
  readonly log: Logger;
  readonly metrics: WorkerMetrics;
  /** The session is over. */
  readonly signal: AbortSignal;
  readonly onJoined: () => void;
  /** The run could not be opened, or its weights do not fit: this session can't go on. */
  readonly onBroken: (error: unknown) => void;
}

/** Longest wait for the plan of a run whose item was taken: the plan is sent before the item is announced. */
const PLAN_DEADLINE_MS = 10_000;
/** Items of a run reach a worker some seconds after its end at the latest. */
const REMEMBERED_RUNS = 16;

/** Holds the one run this worker works for, as the coordinator's messages start and end it. */
export class RunSlot implements AsyncDisposable {
  readonly #options: RunSlotOptions;
  readonly #changed = new EventTarget();
  #open: OpenRun | undefined;
  /** The item taken last. */
  #taken: WorkerItem | undefined;
  /** Runs that ended while this worker was there, the newest last. */
  readonly #ended = new Set<string>();

  constructor(options: RunSlotOptions) {
    this.#options = options;
  }

  /** An item was taken: its run must know before anything sent for it can come. @returns see `WorkerRun.take` */
  take(item: WorkerItem): Step | undefined {
    this.#taken = item;
    return this.#isOpen(item.run, item.fence) ? this.#open?.opened?.take(item) : undefined;
  }

  /** Handles what concerns runs and weights; messages of other kinds are left alone. */
  receive(message: CoordinatorMessage): void {
    if (message.kind === 'run-started') this.#start(message.plan);
    else if (message.kind === 'run-ended') this.#end(message);
    else if (message.kind === 'weights-frame' || message.kind === 'state-frame') {
      const { frame } = message;
      failpoint('worker-mid-weights');
      // Frames that come while the engine still opens wait for it; `then` keeps them in order.
      this.#options.metrics.payload('received', frame.payload.byteLength);
      if (this.#open === undefined || !this.#isOpen(frame.run, frame.fence)) return;
      const accept = (run: WorkerRun): void =>
        message.kind === 'state-frame' ? run.acceptState(frame) : run.weights.accept(frame);
      this.#open.run.then(accept).catch(this.#options.onBroken);
    }
  }

  /** The run an item belongs to, opened; undefined when that has ended, or the signal ends the wait for its plan. */
  async runOf(
    item: { readonly run: RunId; readonly fence: Fence },
    signal: AbortSignal,
  ): Promise<WorkerRun | undefined> {
    if (signal.aborted) return undefined;
    if (this.#open !== undefined && this.#isOpen(item.run, item.fence)) return this.#open.run;
    const patience = AbortSignal.any([signal, AbortSignal.timeout(PLAN_DEADLINE_MS)]);
    while (!patience.aborted) {
      // Taken in the moment its run ended, when nobody was left to say that it is not wanted.
      if (this.#ended.has(keyOf(item)) || item.fence < (this.#options.fences.get(item.run) ?? 0)) return undefined;
      await oneOf(this.#changed, patience);
      if (this.#open !== undefined && this.#isOpen(item.run, item.fence)) return this.#open.run;
    }
    return undefined;
  }

  /** Whether this run is still the one worked for. */
  holds(run: WorkerRun): boolean {
    return this.#open?.plan === run.plan;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#letGo();
  }

  #isOpen(run: RunId, fence: Fence): boolean {
    return this.#open?.plan.run === run && this.#open.plan.fence === fence;
  }

  #start(plan: RunPlan): void {
    if (this.#isOpen(plan.run, plan.fence)) return;
    const { session, log, fences, onJoined, onBroken } = this.#options;
    const current = fences.get(plan.run);
    if (current !== undefined && plan.fence < current) {
      onBroken(fenced(plan, current));
      return;
    }
    fences.set(plan.run, plan.fence);
    this.#close();
    const run = openWorkerRun(plan, this.#options);
    const open: OpenRun = { plan, run };
    this.#open = open;
    run.then((opened) => {
      open.opened = opened;
      if (this.#taken?.run === plan.run && this.#taken.fence === plan.fence) opened.take(this.#taken);
      log.info('run_joined', { run: plan.run, parameters: plan.parameterCount });
      failpoint('worker-run-joined');
      onJoined();
      session.send({ kind: 'run-ready', run: plan.run, fence: plan.fence, takesLeases: opened.takesLeases });
      this.#changed.dispatchEvent(new Event('changed'));
    }, onBroken);
  }

  #end(ended: { readonly run: RunId; readonly fence: Fence }): void {
    this.#ended.add(keyOf(ended));
    const [oldest] = this.#ended;
    if (this.#ended.size > REMEMBERED_RUNS && oldest !== undefined) this.#ended.delete(oldest);
    if (this.#isOpen(ended.run, ended.fence)) this.#close();
    this.#changed.dispatchEvent(new Event('changed'));
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#options.log.info('run_left', { run: this.#open.plan.run });
    this.#letGo().catch(this.#options.onBroken);
  }

  /** Not an async function, which would hold the run while it waits for the run's memory to be collected. */
  #letGo(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    return open === undefined ? Promise.resolve() : disposeOpened(open.run).then(turnEnd).then(collectClosedMemory);
  }
}

async function disposeOpened(run: Promise<WorkerRun>): Promise<void> {
  const [opened] = await Promise.allSettled([run]);
  // One that failed to open has been reported by `onBroken` and holds nothing.
  if (opened.status === 'fulfilled') await opened.value[Symbol.asyncDispose]();
}

/** Ends the session: whoever leads it has a successor, of which it does not know yet. */
function fenced({ run, fence }: RunPlan, current: Fence): RopeteamError {
  const message = `this coordinator has run ${run} under fence ${fence}, and another has it under ${current}`;
  return new RopeteamError('COORD.FENCED', { held: fence, current }, message);
}

function keyOf({ run, fence }: { readonly run: RunId; readonly fence: Fence }): string {
  return `${run}.${fence}`;
}

function oneOf(target: EventTarget, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      target.removeEventListener('changed', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    target.addEventListener('changed', done);
    signal.addEventListener('abort', done);
  });
}
