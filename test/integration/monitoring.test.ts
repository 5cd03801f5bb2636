/** Every query of every dashboard and rule, on a real Prometheus that scrapes a real cluster losing a worker. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { boards } from '../../deploy/grafana/boards.js';
import { type FinishedEvent, startTestCluster, type TestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';
import { findPrometheus, promtool, type RunningPrometheus, startPrometheus } from '../support/prometheus.js';

/** dist/test/integration/monitoring.test.js -> the checkout. */
const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const programs = await findPrometheus();

/** Has no series once the run is at its end. */
const UNKNOWN_HERE: ReadonlySet<string> = new Set([
  'clamp_min(ropeteam_run_steps - ropeteam_weight_version, 0) / (ropeteam:steps:rate1m > 0)',
]);

// reason for the skip: no Prometheus is installed, and none could be fetched; the reason is on stderr
describe.skipIf(programs === undefined)('a cluster that trains and loses a worker, seen by Prometheus', () => {
  let folder: string;
  let cluster: TestCluster;
  let prometheus: RunningPrometheus;
  let steps: number;
  let finished: FinishedEvent;

  beforeAll(async () => {
    if (programs === undefined) return;
    folder = await mkdtemp(join(tmpdir(), 'ropeteam-prometheus-'));
    cluster = await startTestCluster({ workers: 2 });
    const shipped = await readFile(join(root, 'deploy/prometheus/prometheus.yml'), 'utf8');
    const config = shipped.replaceAll('127.0.0.1:9464', new URL(cluster.http).host).replaceAll(/: 5s$/gm, ': 1s');
    await writeFile(join(folder, 'prometheus.yml'), config);
    for (const rules of ['records.yml', 'alerts.yml'])
      await copyFile(join(root, 'deploy/prometheus', rules), join(folder, rules));
    prometheus = await startPrometheus(programs, folder);
    await vi.waitFor(async () => expect(await prometheus.query('up == 1')).toHaveLength(3), { timeout: 20_000 });
    steps = 0;
    let killed: Promise<unknown> = Promise.resolve();
    finished = await cluster.finish(digitsJob({ epochs: 30 }), (event) => {
      if (event.event === 'step_committed') steps++;
      const [victim] = cluster.workers;
      if (event.event === 'step_committed' && event.step === 40 && victim !== undefined)
        killed = cluster.killWorker(victim);
    });
    await killed;
    const total = async (): Promise<number | undefined> =>
      (await prometheus.query('ropeteam_steps_committed_total'))[0]?.value;
    await vi.waitFor(async () => expect(await total()).toBe(steps), { timeout: 10_000 });
  }, 60_000);
  afterAll(async () => {
    await prometheus?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  const value = async (query: string): Promise<number | undefined> => (await prometheus.query(query))[0]?.value;

  test('metrics and events of the run say the same', async () => {
    expect(finished.steps).toBe(steps);
    expect(await value('ropeteam_ledger_records_total')).toBe(steps);
    expect(await value('sum(ropeteam_workers_lost_total)')).toBe(finished.workersLost);
    expect(finished.workersLost).toBe(1);
    expect(await value('ropeteam_blocks_reissued_total')).toBe(finished.blocksReissued);
    expect(await value('ropeteam_world_size')).toBe(1);
    expect(await prometheus.query('ropeteam_worker_sample_seconds')).toHaveLength(1);
  });

  const queries = boards.flatMap(({ title, panels }) =>
    panels.flatMap((panel) => panel.curves.map(({ query }) => [title, panel.title, query] as const)),
  );
  test.each(queries)('%s / %s: %s has finite series', async (_board, _panel, query) => {
    const expression = query.replaceAll('$__rate_interval', '1m');
    // Over the whole test: a rate of a moment ago may lie behind the last step.
    const seen = `last_over_time((${expression})[1m:1s])`;
    const samples = (): Promise<readonly number[]> =>
      prometheus.query(seen).then((found) => found.map((sample) => sample.value).filter(Number.isFinite));
    if (UNKNOWN_HERE.has(query)) expect(await prometheus.query(seen)).toBeDefined();
    else await expect.poll(async () => (await samples()).length, { timeout: 5_000 }).toBeGreaterThan(0);
  });

  test('promtool finds nothing in what services serve, but the names other libraries chose', async () => {
    if (programs === undefined) return;
    const targets: readonly { readonly targets: readonly string[] }[] = JSON.parse(
      await (await fetch(`${cluster.http}/targets`)).text(),
    );
    expect(targets).toHaveLength(1);
    for (const base of [cluster.http, `http://${targets[0]?.targets[0]}`]) {
      const times: number[] = [];
      let text = '';
      for (let time = 0; time < 5; time++) {
        const begunAt = performance.now();
        text = await (await fetch(`${base}/metrics`)).text();
        times.push(performance.now() - begunAt);
      }
      expect(Math.min(...times)).toBeLessThan(20);
      const { output } = await promtool(programs, ['check', 'metrics'], text);
      const foreign = /^(nodejs_active_(handles|requests|resources)_total|bullmq_job_count) /;
      expect(output.split('\n').filter((line) => line !== '' && !foreign.test(line))).toEqual([]);
    }
  });
});
