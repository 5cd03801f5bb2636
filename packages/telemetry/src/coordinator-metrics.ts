/**
 * Every metric of the coordinator, with its help text.
 *
 * Names are `ropeteam_<subject>_<unit>` in base units, counters end in `_total`. Labels come from small closed sets, each
 * of whose series exists from the start, so that a rate over a first event is not lost; never a run, step or job. The one
 * label `worker` has a value for each connected worker, and its series go when the worker goes.
 */
import type { ErrorCode, Metrics, QueueObservation, RunSummary, StepPhases } from '#training';
import { type CopyMetrics, copyMetrics } from './copy-metrics.js';
import {
  type Build,
  exposition,
  type MetricsRegistry,
  newRegistry,
  oneHot,
  STEP_BUCKETS,
  unknownYet,
} from './registry.js';
import { type TroubleMetrics, troubleMetrics } from './trouble-metrics.js';

export interface CommittedStep {
  /** Weight version after the step. */
  readonly version: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly samples: number;
  readonly phases: StepPhases;
  /** Share of the run's time so far that was not lost to workers that died, 0..1. */
  readonly goodput: number;
}

/** A run that goes into training. */
export interface BegunRun {
  readonly fence: number;
  readonly parameters: number;
  readonly steps: number;
  readonly checkpointEveryMs: number;
}

const gradientOutcomes = ['accepted', 'duplicate', 'conflicting', 'stale'] as const;
const lossReasons = ['closed', 'silent'] as const;
const itemFailures = ['failed', 'incomplete', 'refused'] as const;
const queueCalls = ['announce', 'hand_back', 'withdraw', 'observe'] as const;
const workerStates = ['connected', 'ready', 'draining', 'quarantined'] as const;
const grains = ['step', 'run'] as const;
const failureReasons = ['nonfinite', 'poison_block', 'stopped', 'storage', 'redis', 'input', 'other'] as const;
const runStates = [
  'queued',
  'preparing',
  'training',
  'stopping',
  'finished',
  'failed',
] as const satisfies readonly RunSummary['state'][];

export type GradientOutcome = (typeof gradientOutcomes)[number];
export type LossReason = (typeof lossReasons)[number];
/** The worker said so, its upload lacked bytes, or what it sent was not what its receipt says. */
export type ItemFailure = (typeof itemFailures)[number];
export type QueueCall = (typeof queueCalls)[number];
/** Of a connected worker: not ready for a run, ready for the run in training, or about to leave. */
export type WorkerState = (typeof workerStates)[number];

/** Bytes on the wire since the start of the process. */
export type WireByteSource = () => { readonly received: number; readonly sent: number };
export type WorkerSource = () => readonly { readonly worker: string; readonly state: WorkerState }[];

export interface CoordinatorMetrics extends MetricsRegistry, TroubleMetrics, CopyMetrics {
  runStateChanged(state: RunSummary['state']): void;
  runBegun(run: BegunRun): void;
  runFailed(code: ErrorCode): void;
  stepCommitted(step: CommittedStep): void;
  leaseCommitted(): void;
  ledgerWritten(): void;
  /** Means over an epoch; the figures of its validation split, where it was measured. */
  epochFinished(train: Metrics, validation: Metrics | undefined): void;
  grainChosen(grain: (typeof grains)[number], stepsPerLease: number): void;
  gradientReceived(outcome: GradientOutcome): void;
  /** A block or lease was added: what its worker's kernel needed for one sample. */
  workerTimed(worker: string, seconds: number): void;
  blocksReissued(blocks: number): void;
  itemFailed(failure: ItemFailure): void;
  workerLost(reason: LossReason): void;
  checkpointSaved(checkpoint: { readonly bytes: number; readonly durationMs: number }): void;
  checkpointFailed(): void;
  queueCalled(call: QueueCall, durationMs: number, outcome: 'done' | 'failed'): void;
  queuesObserved(figures: QueueObservation): void;
  redisConnected(redis: { readonly engine: string; readonly version: string }): void;
  redisUnreachable(): void;
  /** Read at every scrape. */
  countWireBytes(source: WireByteSource): void;
  /** Read at every scrape. */
  countWorkers(source: WorkerSource): void;
}

export function createCoordinatorMetrics(build: Build): CoordinatorMetrics {
  const parts = newRegistry(build);
  let libraryText = '';
  return {
    ...exposition(parts.registry, () => libraryText),
    ...runMetrics(parts),
    ...stepMetrics(parts),
    ...workMetrics(parts),
    ...troubleMetrics(parts),
    ...checkpointMetrics(parts),
    ...copyMetrics(parts),
    ...queueMetrics(parts, (text) => {
      libraryText = text;
    }),
    ...sources(parts),
  };
}

type Parts = ReturnType<typeof newRegistry>;

function runMetrics({ gauge, counter }: Parts) {
  const state = oneHot(
    gauge('ropeteam_run_state', '1 for the state the current run is in, 0 for the others', ['state']),
    'state',
    runStates,
  );
  const failures = counter('ropeteam_runs_failed_total', 'Runs that failed, by reason', ['reason']);
  const fence = gauge('ropeteam_run_fence', 'Fence of the current run: a higher one took the run from a lower one');
  const parameters = gauge('ropeteam_run_parameters', 'Trainable parameters of the current run');
  const steps = gauge('ropeteam_run_steps', 'Steps the current run is to make');
  const started = gauge('ropeteam_run_start_timestamp_seconds', 'Unix time at which the current run began to train');
  const checkpointEvery = gauge(
    'ropeteam_checkpoint_interval_seconds',
    'Longest time between two checkpoints that the current run asks for',
  );
  const epochLoss = gauge('ropeteam_epoch_loss', 'Mean training loss of the last finished epoch of the current run');
  const lowestLoss = gauge('ropeteam_epoch_loss_lowest', 'Lowest mean training loss of an epoch of the current run');
  const trainingAccuracy = gauge(
    'ropeteam_epoch_accuracy',
    'Share of training samples of the last finished epoch whose most likely class was right, 0..1',
  );
  const validationLoss = gauge('ropeteam_validation_loss', 'Mean loss on the validation split when last measured');
  const validationAccuracy = gauge(
    'ropeteam_validation_accuracy',
    'Share of validation samples whose most likely class was right, 0..1, when last measured',
  );
  for (const reason of failureReasons) failures.inc({ reason }, 0);
  const ofEpochs = [epochLoss, lowestLoss, trainingAccuracy, validationLoss, validationAccuracy];
  unknownYet(...ofEpochs, started);
  let lowest = Number.POSITIVE_INFINITY;

  return {
    runStateChanged: state,
    runBegun: (run: BegunRun) => {
      fence.set(run.fence);
      parameters.set(run.parameters);
      steps.set(run.steps);
      checkpointEvery.set(run.checkpointEveryMs / 1000);
      started.setToCurrentTime();
      unknownYet(...ofEpochs); // those of the run before
      lowest = Number.POSITIVE_INFINITY;
    },
    runFailed: (code: ErrorCode) => failures.inc({ reason: failureReason(code) }),
    epochFinished: (train: Metrics, validation: Metrics | undefined) => {
      lowest = Math.min(lowest, train.loss);
      epochLoss.set(train.loss);
      lowestLoss.set(lowest);
      if (train.accuracy !== undefined) trainingAccuracy.set(train.accuracy);
      if (validation === undefined) return;
      validationLoss.set(validation.loss);
      if (validation.accuracy !== undefined) validationAccuracy.set(validation.accuracy);
    },
  };
}

function failureReason(code: ErrorCode): (typeof failureReasons)[number] {
  if (code === 'RUN.NONFINITE') return 'nonfinite';
  if (code === 'RUN.POISON_BLOCK') return 'poison_block';
  if (code === 'RUN.STOPPED') return 'stopped';
  const family = code.split('.')[0];
  if (family === 'STORAGE') return 'storage';
  if (family === 'REDIS') return 'redis';
  return family === 'DATA' || family === 'JOB' || family === 'MODEL' ? 'input' : 'other';
}

function stepMetrics({ gauge, counter, histogram }: Parts) {
  const weightVersion = gauge('ropeteam_weight_version', 'Committed steps so far in the current run');
  const loss = gauge('ropeteam_training_loss', 'Mean training loss of the last committed step');
  const learningRate = gauge('ropeteam_learning_rate', 'Learning rate of the last committed step');
  const gradientNorm = gauge('ropeteam_gradient_norm', 'Euclidean norm of the last mean gradient, before clipping');
  const steps = counter(
    'ropeteam_steps_committed_total',
    'Optimizer updates that were committed, leased ones included',
  );
  const leases = counter('ropeteam_leases_committed_total', 'Leases of whole steps that were committed');
  const samples = counter(
    'ropeteam_samples_committed_total',
    'Training samples in committed steps: its rate is the goodput',
  );
  const records = counter('ropeteam_ledger_records_total', 'Records appended to ledgers, one a committed step');
  const goodput = gauge('ropeteam_goodput_ratio', 'Share of the run’s time not lost to workers that died, 0..1');
  const phaseSeconds = histogram(
    'ropeteam_step_duration_seconds',
    'Time of committed steps by phase; the phases add up. Steps of a lease have equal shares of its time',
    ['phase'],
    STEP_BUCKETS,
  );
  const lastStep = gauge('ropeteam_last_step_timestamp_seconds', 'Unix time of the last committed step');
  const grain = oneHot(
    gauge('ropeteam_grain', '1 for the grain of the steps announced next: blocks of a step, or runs of whole steps', [
      'grain',
    ]),
    'grain',
    grains,
  );
  const leaseSteps = gauge('ropeteam_lease_steps', 'Steps the planner puts into one lease');
  unknownYet(loss, learningRate, gradientNorm, lastStep);
  goodput.set(1);
  for (const phase of ['broadcast', 'compute', 'upload', 'wait', 'average', 'commit']) phaseSeconds.zero({ phase });

  return {
    stepCommitted: (step: CommittedStep) => {
      steps.inc();
      samples.inc(step.samples);
      loss.set(step.loss);
      learningRate.set(step.learningRate);
      gradientNorm.set(step.gradientNorm);
      goodput.set(step.goodput);
      weightVersion.set(step.version);
      lastStep.setToCurrentTime();
      const { broadcastMs, computeMs, uploadMs, waitMs, averageMs, commitMs } = step.phases;
      phaseSeconds.observe({ phase: 'broadcast' }, broadcastMs / 1000);
      phaseSeconds.observe({ phase: 'compute' }, computeMs / 1000);
      phaseSeconds.observe({ phase: 'upload' }, uploadMs / 1000);
      phaseSeconds.observe({ phase: 'wait' }, waitMs / 1000);
      phaseSeconds.observe({ phase: 'average' }, averageMs / 1000);
      phaseSeconds.observe({ phase: 'commit' }, commitMs / 1000);
    },
    leaseCommitted: () => leases.inc(),
    ledgerWritten: () => records.inc(),
    grainChosen: (chosen: (typeof grains)[number], stepsPerLease: number) => {
      grain(chosen);
      leaseSteps.set(stepsPerLease);
    },
  };
}

function workMetrics({ counter }: Parts) {
  const gradients = counter(
    'ropeteam_gradients_received_total',
    'Results of blocks, leases and evaluations received: added once, seen before, seen before with other bits, or of a step that is over',
    ['outcome'],
  );
  const reissued = counter(
    'ropeteam_blocks_reissued_total',
    'Blocks and leases given to another worker because theirs was lost or slow',
  );
  const failed = counter('ropeteam_items_failed_total', 'Results that did not come, came in part, or were refused', [
    'reason',
  ]);
  const lost = counter(
    'ropeteam_workers_lost_total',
    'Workers lost while a run trained: the stream closed or fell silent',
    ['reason'],
  );
  for (const outcome of gradientOutcomes) gradients.inc({ outcome }, 0);
  for (const reason of itemFailures) failed.inc({ reason }, 0);
  for (const reason of lossReasons) lost.inc({ reason }, 0);

  return {
    gradientReceived: (outcome: GradientOutcome) => gradients.inc({ outcome }),
    blocksReissued: (blocks: number) => reissued.inc(blocks),
    itemFailed: (reason: ItemFailure) => failed.inc({ reason }),
    workerLost: (reason: LossReason) => lost.inc({ reason }),
  };
}

function checkpointMetrics({ gauge, counter, histogram }: Parts) {
  const seconds = histogram(
    'ropeteam_checkpoint_duration_seconds',
    'Time to write one checkpoint to disk',
    [],
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
  );
  const size = gauge('ropeteam_checkpoint_bytes', 'Size of the last checkpoint');
  const last = gauge('ropeteam_checkpoint_timestamp_seconds', 'Unix time at which the last checkpoint was on the disk');
  const failures = counter(
    'ropeteam_checkpoints_failed_total',
    'Checkpoints that could not be written, or were left out',
  );
  unknownYet(size, last);

  return {
    checkpointSaved: ({ bytes, durationMs }: { readonly bytes: number; readonly durationMs: number }) => {
      size.set(bytes);
      seconds.observe(durationMs / 1000);
      last.setToCurrentTime();
    },
    checkpointFailed: () => failures.inc(),
  };
}

function queueMetrics({ gauge, counter, histogram }: Parts, serve: (text: string) => void) {
  const jobs = gauge('ropeteam_queue_jobs', 'Jobs in both work queues by state', ['state']);
  const calls = histogram(
    'ropeteam_queue_call_duration_seconds',
    'Time of the coordinator’s calls to the queues',
    ['call'],
    STEP_BUCKETS,
  );
  const failures = counter('ropeteam_queue_calls_failed_total', 'Calls to the queues that failed or came too late', [
    'call',
  ]);
  const info = gauge('ropeteam_redis_info', 'Always 1; the labels name the Redis in use', ['engine', 'version']);
  const up = gauge('ropeteam_redis_up', '1 if Redis answered when last asked, every 2 s');
  const latency = gauge('ropeteam_redis_latency_seconds', 'Time Redis took to answer a ping when last asked');
  const used = gauge('ropeteam_redis_memory_bytes', 'Memory Redis uses, by its own word');
  const limit = gauge('ropeteam_redis_memory_limit_bytes', 'Memory Redis may use; 0: it has no limit');
  const evicted = gauge('ropeteam_redis_evicted_keys', 'Keys Redis threw away for want of memory since it started');
  const clients = gauge('ropeteam_redis_clients', 'Connections Redis has');
  unknownYet(latency, used, limit, evicted, clients);
  for (const state of ['waiting', 'active']) jobs.set({ state }, 0);
  for (const call of queueCalls) {
    calls.zero({ call });
    failures.inc({ call }, 0);
  }

  return {
    queueCalled: (call: QueueCall, durationMs: number, outcome: 'done' | 'failed') => {
      if (outcome === 'done') calls.observe({ call }, durationMs / 1000);
      else failures.inc({ call });
    },
    queuesObserved: ({ waiting, active, redis, text }: QueueObservation) => {
      jobs.set({ state: 'waiting' }, waiting);
      jobs.set({ state: 'active' }, active);
      up.set(1);
      latency.set(redis.latencyMs / 1000);
      used.set(redis.usedBytes ?? Number.NaN);
      limit.set(redis.limitBytes ?? Number.NaN);
      evicted.set(redis.evictedKeys ?? Number.NaN);
      clients.set(redis.clients ?? Number.NaN);
      serve(text);
    },
    redisConnected: (redis: { readonly engine: string; readonly version: string }) => {
      info.reset(); // a reconnect may have found another version
      info.set({ engine: redis.engine, version: redis.version }, 1);
      up.set(1);
    },
    redisUnreachable: () => up.set(0),
  };
}

/** What others count or know already is taken over at each scrape. */
function sources({ gauge, counter }: Parts) {
  let wire: WireByteSource = () => ({ received: 0, sent: 0 });
  let workers: WorkerSource = () => [];
  const seconds = new Map<string, number>();
  counter('ropeteam_wire_bytes_total', 'TCP payload bytes of all gRPC connections', ['direction'], function collect() {
    const { received, sent } = wire();
    this.reset();
    this.inc({ direction: 'received' }, received);
    this.inc({ direction: 'sent' }, sent);
  });
  gauge('ropeteam_world_size', 'Workers in the current generation', [], function collect() {
    this.set(workers().length);
  });
  gauge(
    'ropeteam_workers',
    'Connected workers: not in a run, ready for it, leaving, or shut out for a while',
    ['state'],
    function collect() {
      const now = workers();
      for (const state of workerStates) this.set({ state }, now.filter((one) => one.state === state).length);
    },
  );
  gauge(
    'ropeteam_worker_sample_seconds',
    'Computing time for one sample of each connected worker’s last block or lease',
    ['worker'],
    function collect() {
      this.reset();
      const present = new Set(workers().map(({ worker }) => worker));
      for (const [worker, value] of seconds) {
        if (present.has(worker)) this.set({ worker }, value);
        else seconds.delete(worker);
      }
    },
  );

  return {
    workerTimed: (worker: string, value: number) => void seconds.set(worker, value),
    countWireBytes: (source: WireByteSource) => {
      wire = source;
    },
    countWorkers: (source: WorkerSource) => {
      workers = source;
    },
  };
}
