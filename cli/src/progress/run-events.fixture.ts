/** Events of an imaginary run, one step every `stepMs`. For tests. */
import type { RunEvent } from '#training';

const START = Date.parse('2026-01-02T03:04:05.000Z');

type Body<Name extends RunEvent['event']> = Omit<Extract<RunEvent, { event: Name }>, 'event' | 'time' | 'run'>;

/** An event at `atMs` after the start of the run `digits-7f3a`. */
export function eventAt<Name extends RunEvent['event']>(atMs: number, event: Name, body: Body<Name>): RunEvent {
  // The body was checked against the event's name by its type; spreading loses that connection.
  return { ...body, event, time: new Date(START + atMs).toISOString(), run: 'digits-7f3a' } as unknown as RunEvent;
}

export const started = eventAt(0, 'run_started', {
  job: 'digits',
  seed: 7,
  workers: 2,
  threads: 1,
  kernel: 'wasm-simd128/1',
  redis: { engine: 'redis', version: '7.0.15' },
  parameters: 4810,
  samples: { train: 1437, validation: 180, test: 180 },
  batch: 256,
  microBatches: 16,
  steps: 180,
  epochs: 30,
  dashboard: 'http://127.0.0.1:9464/',
  metrics: 'http://127.0.0.1:9464/metrics',
  runPath: '/runs/digits-7f3a',
  warnings: [],
});

export function stepAt(atMs: number, step: number): RunEvent {
  return eventAt(atMs, 'step_committed', {
    step,
    epoch: Math.floor(step / 6),
    loss: 0.21344,
    learningRate: 0.0008,
    gradientNorm: 1.5,
    samples: 256,
    durationMs: 40,
    workers: 2,
    phases: { broadcastMs: 3, computeMs: 29, uploadMs: 4, waitMs: 0.5, averageMs: 3, commitMs: 0.5 },
  });
}

export function epochAt(atMs: number, epoch: number): RunEvent {
  return eventAt(atMs, 'epoch_finished', {
    epoch,
    epochs: 30,
    step: (epoch + 1) * 6,
    train: { loss: 0.3, accuracy: 0.9 },
    validation: { loss: 0.241, accuracy: 0.9312 },
    samplesPerSecond: 18_240,
  });
}

export const finished = eventAt(8000, 'run_finished', {
  steps: 180,
  epochs: 30,
  seconds: 7.64,
  samplesPerSecond: 18_240.4,
  stoppedBy: 'epochs',
  train: { loss: 0.01, accuracy: 0.999 },
  validation: { loss: 0.1, accuracy: 0.97 },
  test: { loss: 0.0912, accuracy: 0.9722 },
  weightsSha256: 'ab'.repeat(32),
  optimizerSha256: 'cd'.repeat(32),
  ledgerSha256: 'ef'.repeat(32),
  goodput: 0.98224,
  workersLost: 0,
  blocksReissued: 0,
  redis: { engine: 'redis', version: '7.0.15' },
  kernel: 'wasm-simd128/1',
  modelPath: '/runs/digits-7f3a/model',
  runPath: '/runs/digits-7f3a',
}) as Extract<RunEvent, { event: 'run_finished' }>;

/** @param samples of each worker in the last second, and milliseconds its kernel needed for one of them */
export function measuredAt(
  atMs: number,
  workers: Readonly<Record<string, { readonly samples: number; readonly msPerSample: number }>>,
): RunEvent {
  return eventAt(atMs, 'workers_measured', {
    seconds: 1,
    workers: Object.entries(workers).map(([worker, { samples, msPerSample }]) => ({
      worker,
      samples,
      computeMs: samples * msPerSample,
    })),
  });
}

export const lost = eventAt(2000, 'worker_lost', {
  worker: 'w1',
  pid: 4711,
  reason: 'connection closed',
  blocksReissued: 1,
  detectedInMs: 12,
});

export function joined(worker: string): RunEvent {
  return eventAt(10, 'worker_joined', { worker, pid: 4711, threads: 1 });
}
