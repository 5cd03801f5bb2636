/**
 * Every metric of a worker, with its help text. None has a label for the worker: Prometheus adds that to its target.
 *
 * Names are `ropeteam_worker_<subject>_<unit>` in base units, counters end in `_total`. Labels come from small closed sets,
 * each of whose series exists from the start, so that a rate over a first event is not lost.
 */
import { type Build, exposition, type MetricsRegistry, newRegistry, STEP_BUCKETS } from './registry.js';

export interface ComputedBlock {
  readonly samples: number;
  readonly waitedMs: number;
  readonly computeMs: number;
  readonly uploadMs: number;
}

export interface ComputedLease {
  readonly steps: number;
  /** Of all its steps. */
  readonly samples: number;
  readonly waitedMs: number;
  readonly computeMs: number;
}

const computations = ['gradient', 'lease', 'evaluation'] as const;
const directions = ['received', 'sent'] as const;

export interface WorkerMetrics extends MetricsRegistry {
  connectionChanged(connected: boolean): void;
  blockComputed(block: ComputedBlock): void;
  leaseComputed(lease: ComputedLease): void;
  evaluated(computeMs: number): void;
  itemFailed(): void;
  weightsReceived(version: number): void;
  payload(direction: (typeof directions)[number], bytes: number): void;
  shardFetched(bytes: number): void;
  /** A step's rows were waited for. */
  dataAwaited(waitedMs: number): void;
  /** Shards that a computation reads: how many were there, and how many had to be fetched or waited for. */
  shardsNeeded(needed: { readonly held: number; readonly fetched: number }): void;
}

export function createWorkerMetrics(build: Build, threads: number): WorkerMetrics {
  const { registry, gauge, counter, histogram } = newRegistry(build);

  const connected = gauge('ropeteam_worker_connected', '1 while the worker has a session with a coordinator');
  gauge('ropeteam_worker_threads', 'Kernel threads of this worker').set(threads);
  const blocks = counter('ropeteam_worker_blocks_total', 'Blocks this worker computed and sent');
  const leases = counter('ropeteam_worker_leases_total', 'Leases of whole steps this worker computed');
  const leasedSteps = counter('ropeteam_worker_leased_steps_total', 'Steps in the leases this worker computed');
  const failures = counter('ropeteam_worker_items_failed_total', 'Blocks, leases and evaluations that failed here');
  const samples = counter(
    'ropeteam_worker_samples_total',
    'Samples in computed blocks and leases, those computed twice included: its rate is the throughput',
  );
  const computing = counter(
    'ropeteam_worker_computing_seconds_total',
    'Time the kernel computed, by what it was for: its rate is the share of time this worker was busy',
    ['kind'],
  );
  const blockSeconds = histogram(
    'ropeteam_worker_block_duration_seconds',
    'Time of computed blocks by phase: their weights lay ready, the kernel computed, the gradient was sent',
    ['phase'],
    STEP_BUCKETS,
  );
  const waited = counter('ropeteam_worker_waited_seconds_total', 'Time weights lay ready before their work was taken');
  const weightVersion = gauge('ropeteam_worker_weight_version', 'Weight version this worker holds');
  const payload = counter(
    'ropeteam_worker_payload_bytes_total',
    'Bytes of weights and shards received, and of gradients and leases sent',
    ['direction'],
  );
  const shards = counter('ropeteam_worker_shards_fetched_total', 'Shards fetched from the coordinator');
  const shardBytes = counter('ropeteam_worker_shard_bytes_total', 'Bytes of fetched shards');
  const dataWait = counter(
    'ropeteam_worker_data_wait_seconds_total',
    'Time a block or lease waited for its training rows to be fetched',
  );
  const lookups = counter(
    'ropeteam_worker_shard_lookups_total',
    'Shards that computations read: held already, or to be fetched first',
    ['outcome'],
  );

  for (const kind of computations) computing.inc({ kind }, 0);
  for (const phase of ['wait', 'compute', 'upload']) blockSeconds.zero({ phase });
  for (const direction of directions) payload.inc({ direction }, 0);
  for (const outcome of ['held', 'fetched']) lookups.inc({ outcome }, 0);

  return {
    ...exposition(registry),
    connectionChanged: (isConnected) => connected.set(isConnected ? 1 : 0),
    blockComputed: (block) => {
      blocks.inc();
      samples.inc(block.samples);
      waited.inc(block.waitedMs / 1000);
      computing.inc({ kind: 'gradient' }, block.computeMs / 1000);
      blockSeconds.observe({ phase: 'wait' }, block.waitedMs / 1000);
      blockSeconds.observe({ phase: 'compute' }, block.computeMs / 1000);
      blockSeconds.observe({ phase: 'upload' }, block.uploadMs / 1000);
    },
    leaseComputed: (lease) => {
      leases.inc();
      leasedSteps.inc(lease.steps);
      samples.inc(lease.samples);
      waited.inc(lease.waitedMs / 1000);
      computing.inc({ kind: 'lease' }, lease.computeMs / 1000);
    },
    evaluated: (computeMs) => computing.inc({ kind: 'evaluation' }, computeMs / 1000),
    itemFailed: () => failures.inc(),
    weightsReceived: (version) => weightVersion.set(version),
    payload: (direction, bytes) => payload.inc({ direction }, bytes),
    shardFetched: (bytes) => {
      shards.inc();
      shardBytes.inc(bytes);
      payload.inc({ direction: 'received' }, bytes);
    },
    dataAwaited: (waitedMs) => dataWait.inc(waitedMs / 1000),
    shardsNeeded: ({ held, fetched }) => {
      lookups.inc({ outcome: 'held' }, held);
      lookups.inc({ outcome: 'fetched' }, fetched);
    },
  };
}
