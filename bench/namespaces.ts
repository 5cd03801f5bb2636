/**
 * Steps over links that carry 100 Mbit/s or 1 Gbit/s: coordinator and workers in network namespaces of their own.
 *
 *     node dist/bench/namespaces.js [--rates 100mbit,1gbit,none] [--workers 2,4] [--models 0.1M,8.4M]
 *       [--exchanges float32,int8] [--options='…'] [--json | --markdown]
 *
 * As root, on Linux, with iproute2 and redis-server; elsewhere it says what is missing and ends with 3. It makes namespaces
 * named ropeteamPID-… and takes them away again. `--options` are handed to both services.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startNamespaceCluster } from './namespaces/cluster.js';
import { CONTESTANTS, MODELS, type Row, rowOf } from './namespaces/contestants.js';
import { limit, missing, openNetwork } from './namespaces/network.js';
import { printTable } from './print-table.js';

const HERE = fileURLToPath(import.meta.url);

const { values } = parseArgs({
  options: {
    rates: { type: 'string', default: '100mbit,1gbit,none' },
    workers: { type: 'string', default: '2,4' },
    models: { type: 'string', default: '0.1M,8.4M' },
    exchanges: { type: 'string', default: CONTESTANTS.map(({ name }) => name).join() },
    options: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    markdown: { type: 'boolean', default: false },
    /** Prefix of the network whose coordinator's namespace this process is in. */
    inside: { type: 'string' },
  },
});
const workerCounts = values.workers.split(',').map(Number);
const mostWorkers = Math.max(...workerCounts);

/** Makes the network, and measures in a process that lives where the coordinator does. */
async function outside(): Promise<void> {
  const lacks = await missing();
  if (lacks !== undefined) {
    process.stderr.write(`namespaces: skipped: ${lacks}\n`);
    process.exitCode = 3;
    return;
  }
  await using network = await openNetwork(mostWorkers);
  // Ctrl-C reaches the whole group: the network goes when what runs in it is gone.
  process.on('SIGINT', () => undefined);
  const words = [process.execPath, HERE, ...process.argv.slice(2), '--inside', network.prefix];
  const child = spawn('ip', ['netns', 'exec', network.coordinator.name, ...words], { stdio: 'inherit' });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = await once(child, 'exit');
  process.exitCode = typeof code === 'number' ? code : 1;
}

async function inside(prefix: string): Promise<void> {
  const stopped = untilStopped();
  const rows: Row[] = [];
  const models = MODELS.filter(({ name }) => values.models.split(',').includes(name));
  const contestants = CONTESTANTS.filter(({ name }) => values.exchanges.split(',').includes(name));
  const extra = values.options.split(' ').filter((word) => word !== '');
  for (const workers of workerCounts) {
    await limit(prefix, mostWorkers, undefined);
    await using cluster = await startNamespaceCluster(prefix, workers, extra);
    for (const rate of values.rates.split(',')) {
      await limit(prefix, mostWorkers, rate === 'none' ? undefined : rate);
      for (const model of models) {
        for (const contestant of contestants) {
          if (stopped.aborted) return;
          const row = await rowOf(cluster, stopped, { rate, workers, model, contestant });
          process.stderr.write(`${JSON.stringify(row)}\n`);
          rows.push(row);
        }
      }
    }
  }
  if (values.json)
    process.stdout.write(
      `${JSON.stringify({ node: process.version, cores: availableParallelism(), rows }, undefined, 1)}\n`,
    );
  else print(rows);
}

/** Ctrl-C and SIGTERM end the case in hand, and then everything that was started. */
function untilStopped(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      process.exitCode = 130;
      stop.abort();
    });
  }
  return stop.signal;
}

function print(rows: readonly Row[]): void {
  const cells = rows.map((row) =>
    Object.values(row).map((value) => (typeof value === 'number' ? Number(value.toPrecision(3)).toString() : value)),
  );
  printTable(Object.keys(rows[0] ?? {}), cells, values.markdown);
}

await (values.inside === undefined ? outside() : inside(values.inside));
