import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startCoordinatorServer } from '#protocol';
import { openWorkQueues } from '#queues';
import { createCoordinatorMetrics, type Logger, packageVersion, startMetricsServer } from '#telemetry';
import { AveragesDesk } from './averages-desk.js';
import { conductRun } from './conduct-run.js';
import type { CoordinatorConfiguration } from './configuration.js';
import { Membership } from './membership.js';
import { RunBook } from './run-book.js';
import type { CoordinatorContext } from './run-context.js';
import { settleKernel } from './settle-kernel.js';
import { STATUS_STYLE, statusPage } from './status-page.js';

const QUEUE_DEPTH_INTERVAL_MS = 2_000;

export interface Coordinator {
  /** `host:port` of the gRPC server. */
  readonly grpc: string;
  /** URL of the status page. */
  readonly http: string;
  /** Trains submitted runs one after the other until the signal; the run in training is stopped and saved then. */
  serve(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export async function openCoordinator(configuration: CoordinatorConfiguration, log: Logger): Promise<Coordinator> {
  const { runsDirectory, name, host } = configuration;
  const uploadsDirectory = join(runsDirectory, '.uploads');
  await mkdir(uploadsDirectory, { recursive: true });
  const chosen = await settleKernel(configuration);
  const kernel = chosen.id;
  log.info('kernel_chosen', { kernel, asked: configuration.kernel, reason: chosen.reason });
  const queues = await openWorkQueues({
    redisUrl: configuration.redisUrl,
    namespace: configuration.namespace,
    onError: (error) => log.warn('queue_trouble', { message: error.message }),
  });
  const metrics = createCoordinatorMetrics({ version: packageVersion(), kernel });
  metrics.redisConnected(queues.engine);
  const membership = new Membership(kernel, (count) => metrics.worldSizeChanged(count));
  const book = new RunBook(runsDirectory);
  const averages = new AveragesDesk();
  queues.consumeAverages((item, signal) => averages.process(item, signal));

  const redis = `${queues.engine.engine} ${queues.engine.version}`;
  const page = (): string => {
    const workers = membership.members.map(({ hello: { worker, threads, host: where } }) => ({
      worker,
      threads,
      host: where,
    }));
    return statusPage(
      { coordinator: name, kernel, redis, workers },
      book.entries.map(({ summary }) => summary),
    );
  };
  const http = await startMetricsServer({
    host,
    port: configuration.httpPort,
    registry: metrics,
    routes: {
      '/': () => ({ contentType: 'text/html; charset=utf-8', body: page() }),
      '/status.css': () => ({ contentType: 'text/css; charset=utf-8', body: STATUS_STYLE }),
    },
  });
  const server = await startCoordinatorServer({
    host,
    port: configuration.port,
    uploadsDirectory,
    name,
    onUnexpectedError: (error, method) => log.error('call_failed', { method, error }),
    handlers: {
      workerJoined: (session) => membership.admit(session),
      readShard: (run, split, index) => book.readShard(run, split, index),
      submit: (submission) => book.submit(submission),
      listRuns: async () => book.entries.map(({ summary }) => summary),
      watch: (run, from, signal) => book.watch(run, from, signal),
      stop: async (run, reason) => book.stop(run, reason),
    },
  });
  metrics.countWireBytes(() => server.wireBytes());
  server.setServing(true);
  const context: CoordinatorContext = {
    configuration,
    kernel: chosen,
    log,
    metrics,
    queues,
    membership,
    averages,
    urls: { dashboard: `${http.url}/`, metrics: `${http.url}/metrics` },
  };
  const depth = setInterval(() => {
    queues.depth().then(
      (jobs) => metrics.queueDepthChanged(jobs),
      (error: Error) => log.warn('queue_trouble', { message: error.message }),
    );
  }, QUEUE_DEPTH_INTERVAL_MS);

  return {
    grpc: server.address,
    http: http.url,
    serve: async (signal) => {
      // No new callers while the run in training is stopped and saved.
      signal.addEventListener('abort', () => server.setServing(false), { once: true });
      for (let entry = await book.next(signal); entry !== undefined; entry = await book.next(signal)) {
        await conductRun(context, entry, signal);
      }
    },
    close: async () => {
      clearInterval(depth);
      server.setServing(false);
      membership.closeAll('the coordinator stops');
      await server.close();
      await http.close();
      await queues[Symbol.asyncDispose]();
      await rm(uploadsDirectory, { recursive: true, force: true });
    },
  };
}
