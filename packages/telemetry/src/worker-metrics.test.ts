import { expect, test } from 'vitest';
import { sample } from './read-sample.fixture.js';
import { createWorkerMetrics } from './worker-metrics.js';

test('a worker counts blocks, leases by their steps, samples, bytes and shards', async () => {
  const metrics = createWorkerMetrics({ version: '0.1.0', kernel: 'wasm-simd128/1' }, 4);
  expect(await sample(metrics, 'ropeteam_worker_computing_seconds_total{kind="lease"}')).toBe(0);
  metrics.connectionChanged(true);
  metrics.blockComputed({ samples: 64, waitedMs: 1, computeMs: 20, uploadMs: 3 });
  metrics.leaseComputed({ steps: 10, samples: 640, waitedMs: 4, computeMs: 200 });
  metrics.evaluated(50);
  metrics.itemFailed();
  metrics.weightsReceived(7);
  metrics.payload('sent', 300);
  metrics.shardsNeeded({ held: 1, fetched: 2 });
  metrics.shardFetched(1000);
  const values = {
    ropeteam_worker_connected: 1,
    ropeteam_worker_threads: 4,
    ropeteam_worker_blocks_total: 1,
    ropeteam_worker_leases_total: 1,
    ropeteam_worker_leased_steps_total: 10,
    ropeteam_worker_items_failed_total: 1,
    ropeteam_worker_samples_total: 704,
    ropeteam_worker_waited_seconds_total: 0.005,
    'ropeteam_worker_computing_seconds_total{kind="gradient"}': 0.02,
    'ropeteam_worker_computing_seconds_total{kind="lease"}': 0.2,
    'ropeteam_worker_computing_seconds_total{kind="evaluation"}': 0.05,
    'ropeteam_worker_block_duration_seconds_sum{phase="compute"}': 0.02,
    ropeteam_worker_weight_version: 7,
    ropeteam_worker_shards_fetched_total: 1,
    ropeteam_worker_shard_bytes_total: 1000,
    'ropeteam_worker_shard_lookups_total{outcome="held"}': 1,
    'ropeteam_worker_shard_lookups_total{outcome="fetched"}': 2,
    'ropeteam_worker_payload_bytes_total{direction="received"}': 1000,
    'ropeteam_worker_payload_bytes_total{direction="sent"}': 300,
  };
  for (const [series, value] of Object.entries(values)) expect(await sample(metrics, series), series).toBe(value);
});
