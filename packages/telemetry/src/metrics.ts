/**
 * Every metric of every service, with its help text.
 *
 * Names are `ropeteam_<subject>_<unit>` in base units, counters end in `_total`. Labels come from small closed sets, each
 * of whose series exists from the start, so that a rate over a first event is not lost; never a run, step, job or worker.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Metrics, RunSummary, StepPhases } from '#training';

/** What a metrics server needs to know. */
export interface MetricsRegistry {
  readonly contentType: string;
  /** The exposition text, for Prometheus. */
  text(): Promise<string>;
}

/** What a process is, for `ropeteam_build_info`. */
export interface Build {
  readonly version: string;
  /** Id of the engine, for example `wasm-simd128/1`. */
  readonly kernel: string;
}

export interface CommittedStep {
  /** Weight version after the step. */
  readonly version: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly samples: number;
  readonly phases: StepPhases;
}

const gradientOutcomes = ['accepted', 'duplicate', 'stale'] as const;
const lossReasons = ['closed', 'silent', 'refused'] as const;
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

/** Bytes on the wire since the start of the process. */
export type WireByteSource = () => { readonly received: number; readonly sent: number };

export interface CoordinatorMetrics extends MetricsRegistry {
  runStateChanged(state: RunSummary['state']): void;
  stepCommitted(step: CommittedStep): void;
  validated(metrics: Metrics): void;
  worldSizeChanged(workers: number): void;
  gradientReceived(outcome: GradientOutcome): void;
  blocksReissued(blocks: number): void;
  workerLost(reason: LossReason): void;
  checkpointSaved(checkpoint: { readonly bytes: number; readonly durationMs: number }): void;
  queueDepthChanged(depth: { readonly waiting: number; readonly active: number }): void;
  redisConnected(redis: { readonly engine: string; readonly version: string }): void;
  /** Read at every scrape. */
  countWireBytes(source: WireByteSource): void;
}

/** Seconds: half a millisecond, the shortest a step's phase is seen to take, up to a minute. */
const STEP_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createCoordinatorMetrics(build: Build): CoordinatorMetrics {
  const { registry, gauge, counter, histogram } = newRegistry(build);

  const runState = gauge('ropeteam_run_state', '1 for the state the current run is in, 0 for the others', ['state']);
  const trainingLoss = gauge('ropeteam_training_loss', 'Mean training loss of the last committed step');
  const validationLoss = gauge('ropeteam_validation_loss', 'Mean loss on the validation split when last measured');
  const validationAccuracy = gauge(
    'ropeteam_validation_accuracy',
    'Share of validation samples whose most likely class was right, 0..1, when last measured',
  );
  const learningRate = gauge('ropeteam_learning_rate', 'Learning rate of the last committed step');
  const gradientNorm = gauge('ropeteam_gradient_norm', 'Euclidean norm of the last mean gradient, before clipping');
  const steps = counter('ropeteam_steps_committed_total', 'Optimizer updates that were committed');
  const samples = counter(
    'ropeteam_samples_committed_total',
    'Training samples in committed steps: its rate is the goodput',
  );
  const stepSeconds = histogram(
    'ropeteam_step_duration_seconds',
    'Time of committed steps by phase; the phases add up',
    ['phase'],
    STEP_BUCKETS,
  );
  const weightVersion = gauge('ropeteam_weight_version', 'Committed steps so far in the current run');
  const worldSize = gauge('ropeteam_world_size', 'Workers in the current generation');
  const gradients = counter(
    'ropeteam_gradients_received_total',
    'Block gradients received: added once, seen before, or of a step that is over',
    ['outcome'],
  );
  const reissued = counter(
    'ropeteam_blocks_reissued_total',
    'Blocks given to another worker because theirs was lost or slow',
  );
  const lost = counter('ropeteam_workers_lost_total', 'Workers lost: the stream closed, fell silent, or was refused', [
    'reason',
  ]);
  const checkpointSeconds = histogram(
    'ropeteam_checkpoint_duration_seconds',
    'Time to write one checkpoint to disk',
    [],
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
  );
  const checkpointBytes = gauge('ropeteam_checkpoint_bytes', 'Size of the last checkpoint');
  const queueJobs = gauge('ropeteam_queue_jobs', 'Jobs in the work queues by state', ['state']);
  const redisInfo = gauge('ropeteam_redis_info', 'Always 1; the labels name the Redis in use', ['engine', 'version']);
  const wireBytes = wireCounter(registry);

  unknownYet(trainingLoss, validationLoss, validationAccuracy, learningRate, gradientNorm);
  for (const state of runStates) runState.set({ state }, 0);
  for (const outcome of gradientOutcomes) gradients.inc({ outcome }, 0);
  for (const reason of lossReasons) lost.inc({ reason }, 0);
  for (const state of ['waiting', 'active']) queueJobs.set({ state }, 0);
  for (const phase of ['broadcast', 'compute', 'upload', 'wait', 'average', 'commit']) stepSeconds.zero({ phase });

  return {
    ...exposition(registry),
    runStateChanged: (current) => {
      for (const state of runStates) runState.set({ state }, state === current ? 1 : 0);
    },
    stepCommitted: (step) => {
      steps.inc();
      samples.inc(step.samples);
      trainingLoss.set(step.loss);
      learningRate.set(step.learningRate);
      gradientNorm.set(step.gradientNorm);
      weightVersion.set(step.version);
      const { broadcastMs, computeMs, uploadMs, waitMs, averageMs, commitMs } = step.phases;
      const phases = {
        broadcast: broadcastMs,
        compute: computeMs,
        upload: uploadMs,
        wait: waitMs,
        average: averageMs,
        commit: commitMs,
      };
      for (const [phase, durationMs] of Object.entries(phases)) stepSeconds.observe({ phase }, durationMs / 1000);
    },
    validated: ({ loss, accuracy }) => {
      validationLoss.set(loss);
      if (accuracy !== undefined) validationAccuracy.set(accuracy);
    },
    worldSizeChanged: (workers) => worldSize.set(workers),
    gradientReceived: (outcome) => gradients.inc({ outcome }),
    blocksReissued: (blocks) => reissued.inc(blocks),
    workerLost: (reason) => lost.inc({ reason }),
    checkpointSaved: ({ bytes, durationMs }) => {
      checkpointBytes.set(bytes);
      checkpointSeconds.observe(durationMs / 1000);
    },
    queueDepthChanged: ({ waiting, active }) => {
      queueJobs.set({ state: 'waiting' }, waiting);
      queueJobs.set({ state: 'active' }, active);
    },
    redisConnected: ({ engine, version }) => {
      redisInfo.reset(); // a reconnect may have found another version
      redisInfo.set({ engine, version }, 1);
    },
    countWireBytes: wireBytes,
  };
}

export interface ComputedBlock {
  readonly samples: number;
  readonly waitedMs: number;
  readonly computeMs: number;
  readonly uploadMs: number;
}

export interface WorkerMetrics extends MetricsRegistry {
  connectionChanged(connected: boolean): void;
  blockComputed(block: ComputedBlock): void;
  blockFailed(): void;
  weightsReceived(version: number): void;
  shardFetched(bytes: number): void;
}

export function createWorkerMetrics(build: Build): WorkerMetrics {
  const { registry, gauge, counter, histogram } = newRegistry(build);

  const connected = gauge('ropeteam_worker_connected', '1 while the worker has a session with a coordinator');
  const blocks = counter('ropeteam_worker_blocks_total', 'Blocks this worker took: computed and sent, or failed', [
    'outcome',
  ]);
  const samples = counter(
    'ropeteam_worker_samples_total',
    'Samples in computed blocks, blocks computed twice included: its rate is the throughput',
  );
  const blockSeconds = histogram(
    'ropeteam_worker_block_duration_seconds',
    'Time of computed blocks by phase',
    ['phase'],
    STEP_BUCKETS,
  );
  const weightVersion = gauge('ropeteam_worker_weight_version', 'Weight version this worker holds');
  const shards = counter('ropeteam_worker_shards_fetched_total', 'Shards fetched from the coordinator');
  const shardBytes = counter('ropeteam_worker_shard_bytes_total', 'Bytes of fetched shards');

  for (const outcome of ['computed', 'failed']) blocks.inc({ outcome }, 0);
  for (const phase of ['wait', 'compute', 'upload']) blockSeconds.zero({ phase });

  return {
    ...exposition(registry),
    connectionChanged: (isConnected) => connected.set(isConnected ? 1 : 0),
    blockComputed: (block) => {
      blocks.inc({ outcome: 'computed' });
      samples.inc(block.samples);
      blockSeconds.observe({ phase: 'wait' }, block.waitedMs / 1000);
      blockSeconds.observe({ phase: 'compute' }, block.computeMs / 1000);
      blockSeconds.observe({ phase: 'upload' }, block.uploadMs / 1000);
    },
    blockFailed: () => blocks.inc({ outcome: 'failed' }),
    weightsReceived: (version) => weightVersion.set(version),
    shardFetched: (bytes) => {
      shards.inc();
      shardBytes.inc(bytes);
    },
  };
}

/** A registry of its own for each process part: two of them fit in one process. */
function newRegistry(build: Build) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers });
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name, help, labelNames, buckets, registers });
  gauge('ropeteam_build_info', 'Always 1; the labels name what is running', ['version', 'kernel']).set({ ...build }, 1);
  return { registry, gauge, counter, histogram };
}

/** Prometheus would show 0, a number like any other, where nothing was measured yet. */
function unknownYet(...gauges: readonly Gauge[]): void {
  for (const gauge of gauges) gauge.set(Number.NaN);
}

/** The transport counts already; the counter takes over its totals at each scrape. */
function wireCounter(registry: Registry): (source: WireByteSource) => void {
  let source: WireByteSource = () => ({ received: 0, sent: 0 });
  new Counter({
    name: 'ropeteam_wire_bytes_total',
    help: 'TCP payload bytes of all gRPC connections',
    labelNames: ['direction'],
    registers: [registry],
    collect() {
      const { received, sent } = source();
      this.reset();
      this.inc({ direction: 'received' }, received);
      this.inc({ direction: 'sent' }, sent);
    },
  });
  return (next) => {
    source = next;
  };
}

function exposition(registry: Registry): MetricsRegistry {
  let scrape: Promise<string> | undefined;
  return {
    contentType: registry.contentType,
    // Scrapes that come together share one collection.
    text: () => {
      scrape ??= registry.metrics().finally(() => {
        scrape = undefined;
      });
      return scrape;
    },
  };
}
