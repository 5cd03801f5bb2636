/** The dashboards. `node scripts/write-dashboards.mjs` writes their JSON to `deploy/grafana/dashboards`. */
import type { Board, Lines } from './panels.js';

function lines(title: string, unit: string, description: string, ...curves: (readonly [string, string])[]): Lines {
  return { title, unit, description, curves: curves.map(([query, legend]) => ({ query, legend })) };
}

const rate = (metric: string): string => `rate(${metric}[$__rate_interval])`;

const run: Board = {
  uid: 'ropeteam-run',
  title: 'Run',
  description: 'Does it learn, how fast, and how long will it take?',
  panels: [
    lines(
      'Loss',
      'short',
      'Of each step, of epochs, and on the validation split. Validation that rises while training falls: overfitting.',
      ['ropeteam_training_loss', 'step'],
      ['ropeteam_epoch_loss', 'epoch'],
      ['ropeteam_epoch_loss_lowest', 'lowest epoch'],
      ['ropeteam_validation_loss', 'validation'],
    ),
    lines(
      'Accuracy',
      'percentunit',
      'Share of samples whose most likely class was right.',
      ['ropeteam_epoch_accuracy', 'training'],
      ['ropeteam_validation_accuracy', 'validation'],
    ),
    lines('Learning rate', 'short', 'Of the last committed step.', ['ropeteam_learning_rate', 'learning rate']),
    lines('Gradient norm', 'short', 'Before clipping. It grows before a run diverges.', [
      'ropeteam_gradient_norm',
      'norm',
    ]),
    lines('Goodput', 'short', 'Samples a second in committed steps.', [
      rate('ropeteam_samples_committed_total'),
      'samples/s',
    ]),
    lines('Steps', 'ops', 'Committed a second, leased ones included.', [
      rate('ropeteam_steps_committed_total'),
      'steps/s',
    ]),
    lines(
      'Progress',
      'short',
      'Committed steps, and how many there shall be.',
      ['ropeteam_weight_version', 'committed'],
      ['ropeteam_run_steps', 'of'],
    ),
    lines('Time left', 's', 'At the pace of the last minute.', [
      'clamp_min(ropeteam_run_steps - ropeteam_weight_version, 0) / (ropeteam:steps:rate1m > 0)',
      'left',
    ]),
    lines('State', 'short', 'The state the run is in.', ['ropeteam_run_state == 1', '{{state}}']),
    lines('Model', 'short', 'Trainable parameters.', ['ropeteam_run_parameters', 'parameters']),
  ],
};

const anatomy: Board = {
  uid: 'ropeteam-step',
  title: 'Step anatomy',
  description: 'Where does the time of a step go?',
  panels: [
    lines('Mean time by phase', 's', 'The phases of a step add up. What is largest is what to shorten.', [
      'ropeteam:step_phase_seconds:mean5m',
      '{{phase}}',
    ]),
    lines('Mean time of a step', 's', 'All phases together.', ['ropeteam:step_seconds:mean5m', 'step']),
    ...[0.5, 0.95, 0.99].map((quantile) =>
      lines(`Phases, quantile ${quantile}`, 's', 'Upper bound of so large a share of the steps.', [
        `histogram_quantile(${quantile}, sum by (le, phase) (${rate('ropeteam_step_duration_seconds_bucket')}))`,
        '{{phase}}',
      ]),
    ),
    lines('Bytes on the wire', 'Bps', 'Of all gRPC connections of the coordinator.', [
      rate('ropeteam_wire_bytes_total'),
      '{{direction}}',
    ]),
    lines(
      'Grain',
      'short',
      'Blocks of a step for all workers, or runs of whole steps for one.',
      ['ropeteam_grain', '{{grain}}'],
      ['ropeteam_lease_steps', 'steps a lease'],
    ),
    lines('Leases', 'ops', 'Committed a second.', [rate('ropeteam_leases_committed_total'), 'leases/s']),
  ],
};

const workers: Board = {
  uid: 'ropeteam-workers',
  title: 'Workers',
  description: 'Who computes, how fast, and who is slow?',
  panels: [
    lines(
      'Workers',
      'short',
      'By state; world size is all of them.',
      ['ropeteam_workers', '{{state}}'],
      ['ropeteam_world_size', 'world size'],
    ),
    lines('Computing time of a sample', 's', 'One line far above the others is a straggler.', [
      'ropeteam_worker_sample_seconds',
      '{{worker}}',
    ]),
    lines('Busy', 'percentunit', 'Share of time in the kernel.', ['ropeteam:worker_busy:ratio5m', '{{worker}}']),
    lines('Throughput', 'short', 'Samples a second, those computed twice included.', [
      rate('ropeteam_worker_samples_total'),
      '{{worker}}',
    ]),
    lines('Computing by kind', 'percentunit', 'Gradients, leases, evaluations.', [
      rate('ropeteam_worker_computing_seconds_total'),
      '{{worker}} {{kind}}',
    ]),
    lines('Waiting', 'percentunit', 'Share of time for which weights lay ready before their work was taken.', [
      rate('ropeteam_worker_waited_seconds_total'),
      '{{worker}}',
    ]),
    lines('Mean time of a block', 's', 'By phase, of blocks; leases are not in it.', [
      `sum by (worker, phase) (${rate('ropeteam_worker_block_duration_seconds_sum')})`,
      '{{worker}} {{phase}}',
    ]),
    lines(
      'Work done',
      'ops',
      'Blocks, leases and steps of leases a second.',
      [rate('ropeteam_worker_blocks_total'), '{{worker}} blocks'],
      [rate('ropeteam_worker_leases_total'), '{{worker}} leases'],
      [rate('ropeteam_worker_leased_steps_total'), '{{worker}} leased steps'],
    ),
    lines('Payload', 'Bps', 'Weights and shards received, gradients and leases sent.', [
      rate('ropeteam_worker_payload_bytes_total'),
      '{{worker}} {{direction}}',
    ]),
    lines(
      'Shards',
      'short',
      'Of a small set fetched once each; of a large one, read again as windows come.',
      ['ropeteam_worker_shards_fetched_total', '{{worker}} fetched'],
      ['ropeteam_worker_shard_lookups_total', '{{worker}} {{outcome}}'],
    ),
    lines(
      'Waiting for rows',
      'percentunit',
      'Share of the time; a worker that waits much is nearer to its disk than to its kernel.',
      [rate('ropeteam_worker_data_wait_seconds_total'), '{{worker}}'],
    ),
    lines('Shard bytes', 'bytes', 'Fetched so far.', ['ropeteam_worker_shard_bytes_total', '{{worker}}']),
    lines('Weight version', 'short', 'A worker that stays behind waits, or hangs.', [
      'ropeteam_worker_weight_version',
      '{{worker}}',
    ]),
    lines('Event-loop lag, p99', 's', 'Above 0.2 s heartbeats come late.', [
      'nodejs_eventloop_lag_p99_seconds',
      '{{job}} {{worker}}',
    ]),
    lines('Memory', 'bytes', 'Resident, of each process.', ['process_resident_memory_bytes', '{{job}} {{worker}}']),
    lines(
      'Sessions and threads',
      'short',
      'Whether it has a session, and its kernel threads.',
      ['ropeteam_worker_connected', '{{worker}} connected'],
      ['ropeteam_worker_threads', '{{worker}} threads'],
    ),
    lines('Versions', 'short', 'What runs where.', [
      'ropeteam_build_info',
      '{{job}} {{worker}} {{version}} {{kernel}}',
    ]),
  ],
};

const queues: Board = {
  uid: 'ropeteam-queues',
  title: 'Queues & Redis',
  description: 'Is work waiting, and does Redis answer in time?',
  panels: [
    lines('Jobs', 'short', 'Of both queues.', ['ropeteam_queue_jobs', '{{state}}']),
    lines('Jobs by queue', 'short', 'BullMQ’s own count.', ['bullmq_job_count', '{{queue}} {{state}}']),
    lines(
      'Finished jobs',
      'ops',
      'BullMQ’s own totals.',
      [rate('bullmq_job_completed_total'), '{{queue}} completed'],
      [rate('bullmq_job_failed_total'), '{{queue}} failed'],
    ),
    lines('Time in calls', 'percentunit', 'Share of time the coordinator waits for its calls to the queues.', [
      rate('ropeteam_queue_call_duration_seconds_sum'),
      '{{call}}',
    ]),
    lines('Failed calls', 'ops', 'Failed or came too late.', [rate('ropeteam_queue_calls_failed_total'), '{{call}}']),
    lines('Redis answers', 's', 'Time of a ping.', ['ropeteam_redis_latency_seconds', 'ping']),
    lines(
      'Redis memory',
      'bytes',
      'A limit of 0 is none.',
      ['ropeteam_redis_memory_bytes', 'used'],
      ['ropeteam_redis_memory_limit_bytes', 'limit'],
    ),
    lines(
      'Redis',
      'short',
      'Up, connections, keys thrown away (must stay 0).',
      ['ropeteam_redis_up', 'up'],
      ['ropeteam_redis_clients', 'connections'],
      ['ropeteam_redis_evicted_keys', 'evicted'],
      ['ropeteam_redis_info', '{{engine}} {{version}}'],
    ),
  ],
};

const faults: Board = {
  uid: 'ropeteam-faults',
  title: 'Faults & durability',
  description: 'What went wrong, what it cost, and what would be lost?',
  panels: [
    lines('Workers lost', 'short', 'Closed streams and silence.', ['ropeteam_workers_lost_total', '{{reason}}']),
    lines('Results', 'ops', 'Added once, seen before, or of a step that is over.', [
      rate('ropeteam_gradients_received_total'),
      '{{outcome}}',
    ]),
    lines(
      'Done again',
      'short',
      'Blocks and leases handed out again, and why.',
      ['ropeteam_blocks_reissued_total', 'reissued'],
      ['ropeteam_items_failed_total', '{{reason}}'],
      ['ropeteam_worker_items_failed_total', '{{worker}} failed'],
      ['ropeteam_blocks_copied_total', 'copied: {{reason}}'],
    ),
    lines(
      'Numbers and bits',
      'short',
      'Blocks that two workers computed, workers shut out, steps left out, runs gone back, gradients far too long.',
      ['ropeteam_blocks_verified_total', 'two computed: {{outcome}}'],
      ['ropeteam_workers_quarantined_total', 'shut out: {{reason}}'],
      ['ropeteam_steps_skipped_total', 'steps left out'],
      ['ropeteam_rollbacks_total', 'rollbacks'],
      ['ropeteam_gradient_outliers_total', 'gradient outliers'],
    ),
    lines('Goodput', 'percentunit', 'Share of the run’s time not lost to workers that died.', [
      'ropeteam_goodput_ratio',
      'goodput',
    ]),
    lines(
      'Checkpoint age',
      's',
      'What an end of the coordinator would cost now.',
      ['time() - ropeteam_checkpoint_timestamp_seconds', 'age'],
      ['ropeteam_checkpoint_interval_seconds', 'asked for'],
    ),
    lines('Checkpoint time', 's', 'Mean, to disk.', [
      'ropeteam_checkpoint_duration_seconds_sum / ropeteam_checkpoint_duration_seconds_count',
      'mean',
    ]),
    lines(
      'Checkpoint size',
      'bytes',
      'Of the last one, and what was copied so far.',
      ['ropeteam_checkpoint_bytes', 'size'],
      ['ropeteam_copy_bytes_total', 'sent to object storage'],
    ),
    lines(
      'Failed',
      'short',
      'Checkpoints not written, runs that failed.',
      ['ropeteam_checkpoints_failed_total', 'checkpoints'],
      ['ropeteam_runs_failed_total', 'runs: {{reason}}'],
      ['ropeteam_copies_failed_total', 'copies in object storage'],
    ),
    lines('Ledger', 'short', 'Records, one a committed step.', ['ropeteam_ledger_records_total', 'records']),
    lines('Fence', 'short', 'Rises when a run is taken over.', ['ropeteam_run_fence', 'fence']),
    lines(
      'Times',
      's',
      'Since the run began, and since its last step.',
      ['time() - ropeteam_run_start_timestamp_seconds', 'run'],
      ['time() - ropeteam_last_step_timestamp_seconds', 'last step'],
      ['ropeteam_copy_delay_seconds', 'copy in object storage behind'],
    ),
  ],
};

export const boards: readonly Board[] = [run, anatomy, workers, queues, faults];
