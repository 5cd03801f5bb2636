/** One worker in the foreground: joins a coordinator, computes gradients, comes back when the coordinator does. */
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { collectFrameGarbageAtOnce } from '#protocol';
import {
  createLogger,
  createWorkerMetrics,
  endOnUnforeseen,
  endWithFailure,
  knownError,
  packageVersion,
  startMetricsServer,
  sufferFailpoint,
} from '#telemetry';
import { armFailpoints, type Fence, type RopeteamError, type RunId } from '#training';
import { readConfiguration } from './configuration.js';
import { offerKernels } from './offer-kernels.js';
import { serveSession, type WorkerContext } from './serve-session.js';

/** First and longest pause before another try to reach the coordinator; each with up to half of it added at random. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2_000;

/** Runs until it is told to stop, or cannot go on; ends the process. */
export function runWorkerProcess(): Promise<void> {
  return workUntilStopped().then((code) => process.exit(code), endWithFailure);
}

async function runWorker(
  context: WorkerContext,
  stop: AbortSignal,
  drain: AbortSignal,
  onConnection: (joined: boolean) => void,
): Promise<void> {
  const { configuration, log } = context;
  let pauseMs = FIRST_PAUSE_MS;
  while (!stop.aborted && !drain.aborted) {
    const onReady = (): void => {
      pauseMs = FIRST_PAUSE_MS;
      log.info('coordinator_joined', { coordinator: configuration.coordinator });
      onConnection(true);
      process.send?.({ event: 'ready' });
    };
    try {
      const reason = await serveSession(context, { stop, drain, onReady });
      log.info('session_ended', { reason });
    } catch (error) {
      if (stop.aborted) return;
      const known = knownError(error);
      if (known !== undefined && isFinal(known)) throw known;
      log.warn('coordinator_unreachable', { message: error instanceof Error ? error.message : String(error) });
    }
    onConnection(false);
    if (stop.aborted || drain.aborted) return;
    // A clock is no decision of the run: the pause only spreads out the workers that come back.
    const spread = pauseMs * (1 + Math.random() / 2);
    await delay(spread, undefined, { signal: AbortSignal.any([stop, drain]) }).catch(() => undefined);
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
}

/** Trying again can't mend these. */
function isFinal(error: RopeteamError): boolean {
  const { code } = error;
  if (code === 'AUTH.ROLE' || code === 'AUTH.NAME' || code === 'AUTH.JOIN' || code === 'COORDINATOR.ADDRESS')
    return true;
  return code === 'ENVIRONMENT.LIMIT' || code.startsWith('WORKER.') || code.startsWith('USAGE.');
}

const INSECURE = 'no TLS, no sign-in: whoever is on the way may read and change rows, weights and gradients';

async function workUntilStopped(): Promise<number> {
  collectFrameGarbageAtOnce();
  const configuration = readConfiguration(process.argv.slice(2), process.env);
  const { failpoints, production } = configuration;
  if (failpoints !== undefined) armFailpoints(failpoints, production, sufferFailpoint);
  const log = createLogger({ service: 'worker', level: configuration.logLevel }).with({
    worker: configuration.name,
  });
  endOnUnforeseen(log);
  const stop = new AbortController();
  const drain = new AbortController();
  const onSignal = (): void => (drain.signal.aborted ? stop.abort('stopped') : drain.abort('draining'));
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('disconnect', () => stop.abort('the process that started this worker is gone'));
  const { leftOpen } = configuration;
  if (leftOpen.length > 0) log.warn('left_open', { insecure: leftOpen.join(', '), meaning: INSECURE });
  const kernels = await offerKernels(configuration);
  const kernel = kernels.size === 1 ? [...kernels.keys()].join() : configuration.kernel;
  const insecure = leftOpen.length > 0;
  const metrics = createWorkerMetrics({ version: packageVersion(), kernel, insecure }, configuration.threads);
  const { metricsHost: host, metricsPort: port } = configuration;
  let joined = false;
  const ready = (): boolean => joined && !drain.signal.aborted;
  const http = await startMetricsServer({ host, port, registry: metrics, ready, tokens: configuration.httpTokens });
  log.info('metrics_served', { url: `${http.url}/metrics` });
  const metricsAddress = reachableAddress(http.url);
  try {
    const context = { configuration, kernels, log, metrics, metricsAddress, fences: new Map<RunId, Fence>() };
    await runWorker(context, stop.signal, drain.signal, (connected) => {
      joined = connected;
      metrics.connectionChanged(connected);
    });
    return 0;
  } catch (error) {
    log.error('worker_failed', { error });
    throw error;
  } finally {
    await http.close();
  }
}

/** `host:port` for others: where it listens on every address, the name of this machine. */
function reachableAddress(url: string): string {
  const { host, port } = new URL(url);
  return ['0.0.0.0:', '[::]:'].some((every) => host.startsWith(every)) ? `${hostname()}:${port}` : host;
}
