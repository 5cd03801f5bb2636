import { expect, test } from 'vitest';
import { createCoordinatorMetrics, type WorkerSource } from './coordinator-metrics.js';
import { sample } from './read-sample.fixture.js';

const build = { version: '0.1.0', kernel: 'wasm-simd128/1' };
const phases = { broadcastMs: 1, computeMs: 20, uploadMs: 3, waitMs: 4, averageMs: 5, commitMs: 6 };

test('a committed step moves every metric of a step, in base units', async () => {
  const metrics = createCoordinatorMetrics(build);
  expect(await sample(metrics, 'ropeteam_training_loss')).toBeNaN();
  const step = { loss: 0.5, learningRate: 0.003, gradientNorm: 1.25, goodput: 0.75, phases };
  metrics.stepCommitted({ ...step, version: 1, samples: 256 });
  metrics.stepCommitted({ ...step, version: 2, samples: 100 });
  metrics.ledgerWritten();
  const values = {
    ropeteam_steps_committed_total: 2,
    ropeteam_samples_committed_total: 356,
    ropeteam_training_loss: 0.5,
    ropeteam_learning_rate: 0.003,
    ropeteam_gradient_norm: 1.25,
    ropeteam_goodput_ratio: 0.75,
    ropeteam_weight_version: 2,
    ropeteam_ledger_records_total: 1,
    'ropeteam_step_duration_seconds_sum{phase="compute"}': 0.04,
    'ropeteam_step_duration_seconds_count{phase="commit"}': 2,
    'ropeteam_step_duration_seconds_bucket{le="0.025",phase="compute"}': 2,
    'ropeteam_step_duration_seconds_bucket{le="0.01",phase="compute"}': 0,
  };
  for (const [series, value] of Object.entries(values)) expect(await sample(metrics, series), series).toBe(value);
  const at = (await sample(metrics, 'ropeteam_last_step_timestamp_seconds')) ?? 0;
  expect(Math.abs(at - Date.now() / 1000)).toBeLessThan(5);
});

test('series of every label exist at 0 before anything has happened', async () => {
  const metrics = createCoordinatorMetrics(build);
  const series = [
    ...['accepted', 'duplicate', 'stale'].map((outcome) => `ropeteam_gradients_received_total{outcome="${outcome}"}`),
    ...['closed', 'silent'].map((reason) => `ropeteam_workers_lost_total{reason="${reason}"}`),
    ...['failed', 'incomplete', 'refused'].map((reason) => `ropeteam_items_failed_total{reason="${reason}"}`),
    ...['nonfinite', 'poison_block', 'other'].map((reason) => `ropeteam_runs_failed_total{reason="${reason}"}`),
    ...['received', 'sent'].map((direction) => `ropeteam_wire_bytes_total{direction="${direction}"}`),
    ...['waiting', 'active'].map((state) => `ropeteam_queue_jobs{state="${state}"}`),
    ...['queued', 'failed'].map((state) => `ropeteam_run_state{state="${state}"}`),
    ...['step', 'run'].map((grain) => `ropeteam_grain{grain="${grain}"}`),
    ...['connected', 'ready', 'draining'].map((state) => `ropeteam_workers{state="${state}"}`),
    'ropeteam_step_duration_seconds_count{phase="average"}',
    'ropeteam_queue_call_duration_seconds_count{call="announce"}',
    'ropeteam_blocks_reissued_total',
    'ropeteam_checkpoints_failed_total',
  ];
  for (const one of series) expect(await sample(metrics, one), one).toBe(0);
  expect(await sample(metrics, 'ropeteam_build_info{version="0.1.0",kernel="wasm-simd128/1"}')).toBe(1);
});

test('each update moves its own metric', async () => {
  const metrics = createCoordinatorMetrics(build);
  metrics.runStateChanged('queued');
  metrics.runStateChanged('training');
  metrics.runFailed('RUN.NONFINITE');
  metrics.runFailed('DATA.LABEL');
  metrics.gradientReceived('stale');
  metrics.itemFailed('refused');
  metrics.blocksReissued(4);
  metrics.workerLost('silent');
  metrics.leaseCommitted();
  metrics.grainChosen('step', 1);
  metrics.grainChosen('run', 40);
  metrics.checkpointSaved({ bytes: 1234, durationMs: 250 });
  metrics.checkpointFailed();
  metrics.queueCalled('announce', 2, 'done');
  metrics.queueCalled('hand_back', 5000, 'failed');
  metrics.redisConnected({ engine: 'redis', version: '7.0.15' });
  metrics.redisConnected({ engine: 'redis', version: '7.2.0' });
  let received = 10;
  metrics.countWireBytes(() => ({ received, sent: 20 }));
  received = 30;
  const values = {
    'ropeteam_run_state{state="queued"}': 0,
    'ropeteam_run_state{state="training"}': 1,
    'ropeteam_runs_failed_total{reason="nonfinite"}': 1,
    'ropeteam_runs_failed_total{reason="input"}': 1,
    'ropeteam_gradients_received_total{outcome="stale"}': 1,
    'ropeteam_items_failed_total{reason="refused"}': 1,
    ropeteam_blocks_reissued_total: 4,
    'ropeteam_workers_lost_total{reason="silent"}': 1,
    ropeteam_leases_committed_total: 1,
    'ropeteam_grain{grain="step"}': 0,
    'ropeteam_grain{grain="run"}': 1,
    ropeteam_lease_steps: 40,
    ropeteam_checkpoint_bytes: 1234,
    ropeteam_checkpoint_duration_seconds_sum: 0.25,
    ropeteam_checkpoints_failed_total: 1,
    'ropeteam_queue_call_duration_seconds_sum{call="announce"}': 0.002,
    'ropeteam_queue_call_duration_seconds_count{call="hand_back"}': 0,
    'ropeteam_queue_calls_failed_total{call="hand_back"}': 1,
    'ropeteam_redis_info{engine="redis",version="7.2.0"}': 1,
    'ropeteam_redis_info{engine="redis",version="7.0.15"}': undefined,
    'ropeteam_wire_bytes_total{direction="received"}': 30,
  };
  for (const [series, value] of Object.entries(values)) expect(await sample(metrics, series), series).toBe(value);
});

test('the lowest epoch loss is of this run: the next one begins without a figure', async () => {
  const metrics = createCoordinatorMetrics(build);
  const run = { fence: 3, parameters: 10, steps: 100, checkpointEveryMs: 30_000 };
  metrics.runBegun(run);
  metrics.epochFinished({ loss: 0.2 }, { loss: 0.75, accuracy: 0.9 });
  metrics.epochFinished({ loss: 0.5 }, undefined);
  expect(await sample(metrics, 'ropeteam_epoch_loss')).toBe(0.5);
  expect(await sample(metrics, 'ropeteam_epoch_loss_lowest')).toBe(0.2);
  expect(await sample(metrics, 'ropeteam_validation_accuracy')).toBe(0.9);
  metrics.runBegun({ ...run, fence: 4 });
  expect(await sample(metrics, 'ropeteam_epoch_loss_lowest')).toBeNaN();
  expect(await sample(metrics, 'ropeteam_validation_loss')).toBeNaN();
  expect(await sample(metrics, 'ropeteam_run_fence')).toBe(4);
  expect(await sample(metrics, 'ropeteam_checkpoint_interval_seconds')).toBe(30);
  metrics.epochFinished({ loss: 0.9 }, undefined);
  expect(await sample(metrics, 'ropeteam_epoch_loss_lowest')).toBe(0.9);
});

test('the series of a worker go with it, and come back only with a new figure', async () => {
  const metrics = createCoordinatorMetrics(build);
  let workers: ReturnType<WorkerSource> = [
    { worker: 'w0', state: 'ready' },
    { worker: 'w1', state: 'draining' },
  ];
  metrics.countWorkers(() => workers);
  metrics.workerTimed('w0', 0.001);
  metrics.workerTimed('w1', 0.002);
  expect(await sample(metrics, 'ropeteam_worker_sample_seconds{worker="w1"}')).toBe(0.002);
  expect(await sample(metrics, 'ropeteam_workers{state="draining"}')).toBe(1);
  const all = workers;
  workers = workers.slice(0, 1);
  expect(await sample(metrics, 'ropeteam_worker_sample_seconds{worker="w0"}')).toBe(0.001);
  expect(await sample(metrics, 'ropeteam_worker_sample_seconds{worker="w1"}')).toBeUndefined();
  expect(await sample(metrics, 'ropeteam_world_size')).toBe(1);
  workers = all;
  expect(await sample(metrics, 'ropeteam_worker_sample_seconds{worker="w1"}')).toBeUndefined();
});

test('what is seen of the queues is served with the library’s own text, until Redis is away', async () => {
  const metrics = createCoordinatorMetrics(build);
  const redis = {
    latencyMs: 0.5,
    usedBytes: 1000,
    limitBytes: 0,
    evictedKeys: undefined,
    clients: 4,
    evictionPolicy: undefined,
  };
  metrics.queuesObserved({ waiting: 5, active: 2, redis, text: 'bullmq_job_count{queue="gradients"} 5\n' });
  const values = {
    'ropeteam_queue_jobs{state="waiting"}': 5,
    ropeteam_redis_up: 1,
    ropeteam_redis_latency_seconds: 0.0005,
    ropeteam_redis_memory_bytes: 1000,
    ropeteam_redis_evicted_keys: Number.NaN,
    'bullmq_job_count{queue="gradients"}': 5,
  };
  for (const [series, value] of Object.entries(values)) expect(await sample(metrics, series), series).toBe(value);
  metrics.redisUnreachable();
  expect(await sample(metrics, 'ropeteam_redis_up')).toBe(0);
});

test('two sets of metrics in one process share nothing, and each has a help text and the process metrics', async () => {
  const [one, other] = [createCoordinatorMetrics(build), createCoordinatorMetrics(build)];
  one.blocksReissued(9);
  expect(await sample(other, 'ropeteam_blocks_reissued_total')).toBe(0);
  const text = await one.text();
  expect(text).toContain('process_resident_memory_bytes');
  expect(text).toContain('nodejs_eventloop_lag_p99_seconds');
  const names = [...text.matchAll(/^# TYPE (ropeteam_\w+) (\w+)/gm)];
  expect(names.length).toBeGreaterThan(40);
  for (const [, name, type] of names) {
    expect(text).toMatch(new RegExp(`^# HELP ${name} \\S.{9,}`, 'm'));
    expect(name?.endsWith('_total'), `${name} is a ${type}`).toBe(type === 'counter');
  }
});
