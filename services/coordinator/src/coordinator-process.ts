/** The coordinator in the foreground: takes jobs over gRPC, trains them with whatever workers are there. */
import { join } from 'node:path';
import { collectFrameGarbageAtOnce } from '#protocol';
import { createLogger, endOnUnforeseen, endWithFailure, sufferFailpoint } from '#telemetry';
import { armFailpoints } from '#training';
import { readConfiguration } from './configuration.js';
import { openCoordinator } from './coordinator.js';

/** In the runs folder. */
const CRASHES = '.crashes';

/** Longest life of a coordinator whose starter died: time to write what can be written. */
const ORPHAN_GRACE_MS = 5_000;

const INSECURE = 'no TLS, no sign-in: whoever reaches these may read and change runs, rows and weights';

/** Runs until it is told to stop, or cannot go on; ends the process. */
export function runCoordinatorProcess(): Promise<void> {
  return serveUntilStopped().then(() => process.exit(0), endWithFailure);
}

async function serveUntilStopped(): Promise<void> {
  collectFrameGarbageAtOnce();
  const configuration = readConfiguration(process.argv.slice(2), process.env);
  const { failpoints, production } = configuration;
  if (failpoints !== undefined) armFailpoints(failpoints, production, sufferFailpoint);
  const log = createLogger({ service: 'coordinator', level: configuration.logLevel });
  endOnUnforeseen(log, join(configuration.runsDirectory, CRASHES));
  const stop = new AbortController();
  const onSignal = (): void => {
    // A second signal does not wait for the run in training to be saved.
    if (stop.signal.aborted) process.exit(143);
    stop.abort('asked to stop');
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('disconnect', () => {
    stop.abort('the process that started this coordinator is gone');
    // Its Redis is gone with it: nothing here may wait for that for long.
    setTimeout(() => process.exit(1), ORPHAN_GRACE_MS).unref();
  });
  const { leftOpen } = configuration;
  if (leftOpen.length > 0) log.warn('left_open', { insecure: leftOpen.join(', '), meaning: INSECURE });
  const coordinator = await openCoordinator(configuration, log);
  const { grpc, http } = coordinator;
  log.info('coordinator_ready', { grpc, http });
  process.send?.({ event: 'ready', grpc, http });
  try {
    // Another coordinator took over: nothing is closed, for closing writes.
    await Promise.race([coordinator.serve(stop.signal), coordinator.fenced.catch(endFenced)]);
  } finally {
    await coordinator.close();
  }
}

function endFenced(error: unknown): Promise<never> {
  endWithFailure(error);
  return new Promise<never>(() => undefined);
}
