import { expect, test } from 'vitest';
import { createCoordinatorMetrics, createWorkerMetrics } from './metrics.js';

const build = { version: '0.1.0', kernel: 'wasm-simd128/1' };
const phases = { broadcastMs: 1, computeMs: 20, uploadMs: 3, waitMs: 4, averageMs: 5, commitMs: 6 };

/** One sample's value, or undefined. */
async function sample(metrics: { text(): Promise<string> }, series: string): Promise<number | undefined> {
  const line = (await metrics.text()).split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1).replace('Nan', 'NaN'));
}

test('a committed step moves every metric of a step, in base units', async () => {
  const metrics = createCoordinatorMetrics(build);
  expect(await sample(metrics, 'ropeteam_training_loss')).toBeNaN();
  const step = { loss: 0.5, learningRate: 0.003, gradientNorm: 1.25, phases };
  metrics.stepCommitted({ ...step, version: 1, samples: 256 });
  metrics.stepCommitted({ ...step, version: 2, samples: 100 });
  const values = {
    ropeteam_steps_committed_total: 2,
    ropeteam_samples_committed_total: 356,
    ropeteam_training_loss: 0.5,
    ropeteam_learning_rate: 0.003,
    ropeteam_gradient_norm: 1.25,
    ropeteam_weight_version: 2,
    'ropeteam_step_duration_seconds_sum{phase="compute"}': 0.04,
    'ropeteam_step_duration_seconds_count{phase="commit"}': 2,
    'ropeteam_step_duration_seconds_bucket{le="0.025",phase="compute"}': 2,
    'ropeteam_step_duration_seconds_bucket{le="0.01",phase="compute"}': 0,
  };
  for (const [series, value] of Object.entries(values)) expect(await sample(metrics, series), series).toBe(value);
});

test('series of every label exist at 0 before anything has happened', async () => {
  const metrics = createCoordinatorMetrics(build);
  const series = [
    ...['accepted', 'duplicate', 'stale'].map((outcome) => `ropeteam_gradients_received_total{outcome="${outcome}"}`),
    ...['closed', 'silent', 'refused'].map((reason) => `ropeteam_workers_lost_total{reason="${reason}"}`),
    ...['received', 'sent'].map((direction) => `ropeteam_wire_bytes_total{direction="${direction}"}`),
    ...['waiting', 'active'].map((state) => `ropeteam_queue_jobs{state="${state}"}`),
    ...['queued', 'failed'].map((state) => `ropeteam_run_state{state="${state}"}`),
    'ropeteam_step_duration_seconds_count{phase="average"}',
    'ropeteam_blocks_reissued_total',
  ];
  for (const one of series) expect(await sample(metrics, one), one).toBe(0);
  expect(await sample(metrics, 'ropeteam_build_info{version="0.1.0",kernel="wasm-simd128/1"}')).toBe(1);
});

test('each update moves its own metric', async () => {
  const metrics = createCoordinatorMetrics(build);
  metrics.runStateChanged('queued');
  metrics.runStateChanged('training');
  metrics.validated({ loss: 0.75, accuracy: 0.9 });
  metrics.worldSizeChanged(3);
  metrics.gradientReceived('stale');
  metrics.blocksReissued(4);
  metrics.workerLost('silent');
  metrics.checkpointSaved({ bytes: 1234, durationMs: 250 });
  metrics.queueDepthChanged({ waiting: 5, active: 2 });
  metrics.redisConnected({ engine: 'redis', version: '7.0.15' });
  metrics.redisConnected({ engine: 'redis', version: '7.2.0' });
  let received = 10;
  metrics.countWireBytes(() => ({ received, sent: 20 }));
  received = 30;
  const values = {
    'ropeteam_run_state{state="queued"}': 0,
    'ropeteam_run_state{state="training"}': 1,
    ropeteam_validation_loss: 0.75,
    ropeteam_validation_accuracy: 0.9,
    ropeteam_world_size: 3,
    'ropeteam_gradients_received_total{outcome="stale"}': 1,
    ropeteam_blocks_reissued_total: 4,
    'ropeteam_workers_lost_total{reason="silent"}': 1,
    ropeteam_checkpoint_bytes: 1234,
    ropeteam_checkpoint_duration_seconds_sum: 0.25,
    'ropeteam_queue_jobs{state="waiting"}': 5,
    'ropeteam_redis_info{engine="redis",version="7.2.0"}': 1,
    'ropeteam_redis_info{engine="redis",version="7.0.15"}': undefined,
    'ropeteam_wire_bytes_total{direction="received"}': 30,
  };
  for (const [series, value] of Object.entries(values)) expect(await sample(metrics, series), series).toBe(value);
});

test('a worker counts its blocks, samples and shards', async () => {
  const metrics = createWorkerMetrics(build);
  metrics.connectionChanged(true);
  metrics.blockComputed({ samples: 64, waitedMs: 1, computeMs: 20, uploadMs: 3 });
  metrics.blockFailed();
  metrics.weightsReceived(7);
  metrics.shardFetched(1000);
  const values = {
    ropeteam_worker_connected: 1,
    'ropeteam_worker_blocks_total{outcome="computed"}': 1,
    'ropeteam_worker_blocks_total{outcome="failed"}': 1,
    ropeteam_worker_samples_total: 64,
    'ropeteam_worker_block_duration_seconds_sum{phase="compute"}': 0.02,
    ropeteam_worker_weight_version: 7,
    ropeteam_worker_shards_fetched_total: 1,
    ropeteam_worker_shard_bytes_total: 1000,
  };
  for (const [series, value] of Object.entries(values)) expect(await sample(metrics, series), series).toBe(value);
});

test('two sets of metrics in one process share nothing, and each has a help text and the process metrics', async () => {
  const [one, other] = [createCoordinatorMetrics(build), createCoordinatorMetrics(build)];
  one.blocksReissued(9);
  expect(await sample(other, 'ropeteam_blocks_reissued_total')).toBe(0);
  const text = await one.text();
  expect(text).toContain('process_resident_memory_bytes');
  const names = [...text.matchAll(/^# TYPE (ropeteam_\w+) (\w+)/gm)];
  expect(names.length).toBeGreaterThan(15);
  for (const [, name, type] of names) {
    expect(text).toMatch(new RegExp(`^# HELP ${name} \\S.{9,}`, 'm'));
    expect(name?.endsWith('_total'), `${name} is a ${type}`).toBe(type === 'counter');
  }
});
