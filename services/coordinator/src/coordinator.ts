import { mkdir, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type RefusedHandshake, startCoordinatorServer } from '#protocol';
import { openWorkQueues } from '#queues';
import { openAuditLog } from '#storage';
import { createCoordinatorMetrics, type Logger, packageVersion, startMetricsServer, startSpan } from '#telemetry';
import { failpoint, type RopeteamError, runId, type SessionHandler, type WorkerSession } from '#training';
import { openAdmission } from './admission.js';
import { auditCalls } from './audit-calls.js';
import { AveragesDesk } from './averages-desk.js';
import { conductRun } from './conduct-run.js';
import type { CoordinatorConfiguration } from './configuration.js';
import { httpRoutes } from './http-routes.js';
import { Leads } from './leads.js';
import { Membership } from './membership.js';
import { watchQueues } from './queue-watch.js';
import { RunBook } from './run-book.js';
import type { CoordinatorContext } from './run-context.js';
import { openRunCopies } from './run-copies.js';
import { scrapeTargets, workerState } from './scrape-targets.js';
import { seldom } from './seldom.js';
import { settleKernel } from './settle-kernel.js';
import { watchSystem } from './system-watch.js';
import { timeQueues } from './timed-queues.js';

export interface Coordinator {
  /** `host:port` of the gRPC server. */
  readonly grpc: string;
  /** URL of the status page. */
  readonly http: string;
  /** Trains submitted runs one after the other until the signal; the run in training is stopped and saved then. */
  serve(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
  /** Rejects with COORD.FENCED when another coordinator has taken over. Never resolves. */
  readonly fenced: Promise<never>;
}

export async function openCoordinator(configuration: CoordinatorConfiguration, log: Logger): Promise<Coordinator> {
  const { runsDirectory, name, host, only } = configuration;
  let onFenced: (error: RopeteamError) => void = () => undefined;
  const fenced = new Promise<never>((_, reject) => {
    onFenced = reject;
  });
  fenced.catch(() => undefined); // awaited by the holder; before that it must not end the process
  const leads = new Leads((error) => onFenced(error));
  // One for each coordinator: those of one run alone share the folder.
  const uploadsDirectory = join(runsDirectory, '.uploads', only ?? 'all');
  await mkdir(runsDirectory, { recursive: true });
  if (only === undefined) await leads.take(runsDirectory);
  failpoint('after-lock');
  await rm(uploadsDirectory, { recursive: true, force: true }); // what submissions that were cut off left
  await mkdir(uploadsDirectory, { recursive: true });
  const chosen = await settleKernel(configuration);
  const kernel = chosen.id;
  log.info('kernel_chosen', { kernel, asked: configuration.kernel, reason: chosen.reason });
  const opened = await openWorkQueues({
    redisUrl: configuration.redisUrl,
    namespace: configuration.namespace,
    onError: (error) => log.warn('queue_trouble', { message: error.message }),
  });
  const metrics = createCoordinatorMetrics({
    version: packageVersion(),
    kernel,
    insecure: configuration.leftOpen.length > 0,
  });
  const queues = timeQueues(opened, metrics);
  metrics.redisConnected(queues.engine);
  const membership = new Membership(kernel);
  metrics.countWorkers(() =>
    membership.members.map((member) => ({ worker: member.hello.worker, state: workerState(member) })),
  );
  const copies = openRunCopies(configuration.copyRunsTo, log, metrics);
  await copies?.fetchBack(runsDirectory);
  const book = new RunBook(runsDirectory, leads, configuration.dataRoot);
  for (const { run, error } of await book.recover(only)) {
    if (run === only) throw error;
    log.error('run_not_recovered', { run, code: error.code, message: error.message });
  }
  const follow = (run: string): void => copies?.follow(book.look(runId(run)).folder);
  for (const { run } of book.summaries) follow(run);
  const averages = new AveragesDesk();
  queues.consumeAverages((item, signal) => averages.process(item, signal));

  const system = watchSystem(runsDirectory, log);
  const redis = `${queues.engine.engine} ${queues.engine.version}`;
  let serving = false;
  const http = await startMetricsServer({
    host: configuration.httpHost,
    port: configuration.httpPort,
    registry: metrics,
    ready: () => serving,
    tls: configuration.httpTls,
    tokens: configuration.httpTokens,
    ...httpRoutes({
      facts: { coordinator: name, kernel, redis },
      book,
      system: () => system.figures,
      targets: () => scrapeTargets(membership.members),
    }),
  });
  // Those of one run alone share the folder, and nobody but their starter reaches them.
  const audit =
    only === undefined
      ? await openAuditLog(join(runsDirectory, 'audit.ndjson'), {
          onError: ({ code, message }) => log.error('audit_failed', { code, message }),
        })
      : undefined;
  const mayJoin = openAdmission(configuration.joinTokens, log);
  const server = await startCoordinatorServer({
    host,
    port: configuration.port,
    uploadsDirectory,
    name,
    tls: configuration.tls,
    onCall: auditCalls(audit, log),
    onRefusedHandshake: seldom((more, handshake: RefusedHandshake) =>
      log.warn('handshake_refused', { ...handshake, more }),
    ),
    onExcess: seldom((more, peer: string, excess: string) => log.warn('connection_cut', { peer, excess, more })),
    onUnexpectedError: (error, method) => log.error('call_failed', { method, error }),
    handlers: {
      workerJoined: (session) => {
        mayJoin(session);
        return admit(membership, session);
      },
      readShard: (run, split, index) => book.readShard(run, split, index),
      submit: async (submission) => {
        const summary = await book.submit(submission);
        follow(summary.run);
        return summary;
      },
      listRuns: async () => book.summaries,
      watch: (run, from, signal) => book.watch(run, from, signal),
      stop: async (run, reason) => book.stop(run, reason),
      resume: (run) => book.resume(run),
    },
  });
  metrics.countWireBytes(() => server.wireBytes());
  const setServing = (now: boolean): void => {
    serving = now;
    server.setServing(now);
  };
  setServing(true);
  const context: CoordinatorContext = {
    configuration,
    kernel: chosen,
    log,
    metrics,
    queues,
    membership,
    averages,
    leads,
    copies,
    onFenced: (error) => onFenced(error),
    urls: { dashboard: `${http.url}/`, metrics: `${http.url}/metrics` },
  };
  const endWatch = watchQueues(queues, metrics, log, system.queuesSeen);

  return {
    fenced,
    grpc: server.address,
    http: http.url,
    serve: async (signal) => {
      // No new callers while the run in training is stopped and saved.
      signal.addEventListener('abort', () => setServing(false), { once: true });
      for (let entry = await book.next(signal); entry !== undefined; entry = await book.next(signal)) {
        await conductRun(context, entry, signal);
      }
    },
    close: async () => {
      endWatch();
      system.end();
      setServing(false);
      membership.closeAll('the coordinator stops');
      await server.close();
      await http.close();
      await copies?.close();
      await audit?.[Symbol.asyncDispose]();
      await queues[Symbol.asyncDispose]();
      await rm(uploadsDirectory, { recursive: true, force: true });
      await removeIfEmpty(dirname(uploadsDirectory));
      await leads.releaseAll();
    },
  };
}

/** In the trace of the worker's own attempt to join. */
function admit(membership: Membership, session: WorkerSession): SessionHandler {
  const span = startSpan('admit', { worker: session.hello.worker }, session.trace);
  try {
    const handler = membership.admit(session);
    span.end();
    return handler;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** Other coordinators, each with a run of its own, may have theirs in it. */
async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST' && error.code !== 'ENOENT') throw error;
  });
}
