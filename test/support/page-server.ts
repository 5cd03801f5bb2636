/** The live page without a cluster: the coordinator's own routes and server, fed with runs that a test makes up. */
import { type MetricsServer, startMetricsServer } from '#telemetry';
import { RopeteamError, type RunEvent, type RunEventBody, type RunSummary, runId } from '#training';
import type { LiveRun } from '../../services/coordinator/page/messages.js';
import { httpRoutes } from '../../services/coordinator/src/http-routes.js';

export interface MadeUpRun {
  readonly summary: RunSummary;
  /** Ends, or waits for the signal: a run that is in training. */
  readonly events: (signal: AbortSignal) => AsyncIterable<RunEvent>;
  readonly live?: () => LiveRun;
}

export async function servePage(runs: readonly MadeUpRun[]): Promise<MetricsServer> {
  const find = (run: string): MadeUpRun => {
    const found = runs.find(({ summary }) => summary.run === run);
    if (found !== undefined) return found;
    throw new RopeteamError('RUN.UNKNOWN', { run: runId(run) }, `there is no run ${run}`);
  };
  const nowhere = '/nonexistent';
  return startMetricsServer({
    host: '127.0.0.1',
    port: 0,
    registry: { contentType: 'text/plain', text: async () => '' },
    ...httpRoutes({
      facts: { coordinator: 'coordinator', kernel: 'wasm-simd128/1', redis: 'redis 7.0.15' },
      system: () => undefined,
      targets: () => '[]',
      book: {
        get summaries() {
          return runs.map(({ summary }) => summary);
        },
        async *watch(run, from, signal) {
          let number = 0;
          for await (const event of find(run ?? '').events(signal)) if (number++ >= from) yield event;
        },
        look: (run) => ({
          summary: () => find(run).summary,
          live: () => find(run).live?.(),
          folder: {
            ...{ run, path: nowhere, jobPath: nowhere, eventsPath: nowhere, ledgerPath: nowhere, dataPath: nowhere },
            ...{ checkpointsPath: nowhere, modelPath: nowhere, submissionPath: nowhere, uploadsPath: nowhere },
          },
        }),
      },
    }),
  });
}

/** Events with their times, ten a second. */
export function eventsOf(run: string, bodies: Iterable<RunEventBody>): RunEvent[] {
  const begin = Date.parse('2026-01-01T12:00:00.000Z');
  return Array.from(
    bodies,
    (body, index) => ({ ...body, run, time: new Date(begin + 100 * index).toISOString() }) as RunEvent,
  );
}

/** The start of a run of so many steps. */
export function startedBody(steps: number, job = 'made-up'): RunEventBody {
  return {
    event: 'run_started',
    ...{ job, seed: 1, workers: 2, threads: 2, kernel: 'wasm-simd128/1', parameters: 4810, dashboard: '', metrics: '' },
    redis: { engine: 'redis', version: '7.0.15' },
    samples: { train: 1437, validation: 180, test: 180 },
    ...{ batch: 64, microBatches: 2, steps, epochs: 5, runPath: 'runs/made-up', warnings: [] },
  };
}

export function stepBody(step: number, loss = 1 / (1 + step / 50)): RunEventBody {
  const phases = { broadcastMs: 1, computeMs: 2, uploadMs: 0, waitMs: 0, averageMs: 1, commitMs: 0 };
  return {
    event: 'step_committed',
    ...{ step, epoch: 0, loss, learningRate: 0.1, gradientNorm: 1 + Math.sin(step / 30), samples: 64 },
    ...{ durationMs: 4, workers: 2, phases },
  };
}
