/** A coordinator for tests: real handlers that write down what reached them. Not part of the package's interface. */
import { EventEmitter, once } from 'node:events';
import {
  type CoordinatorHandlers,
  fence,
  PROTOCOL_VERSION,
  RopeteamError,
  type RunEvent,
  type RunPlan,
  type RunSummary,
  runId,
  type Submission,
  type WorkerHello,
  type WorkerMessage,
  type WorkerSession,
  workerId,
} from '#training';

export interface RecordingCoordinator {
  readonly handlers: CoordinatorHandlers;
  readonly sessions: readonly WorkerSession[];
  readonly messages: readonly WorkerMessage[];
  readonly ends: readonly { readonly worker: string; readonly reason: string; readonly detectedInMs: number }[];
  readonly submissions: readonly Submission[];
  /** Resolves once `condition` holds; looked at after every event. */
  until(condition: () => boolean): Promise<void>;
}

export interface Behaviour {
  readonly joined?: (session: WorkerSession) => void;
  readonly received?: (message: WorkerMessage, session: WorkerSession) => void;
  readonly events?: readonly RunEvent[];
  readonly overrides?: Partial<CoordinatorHandlers>;
}

export function recordingCoordinator(behaviour: Behaviour = {}): RecordingCoordinator {
  const changes = new EventEmitter({ captureRejections: true });
  const sessions: WorkerSession[] = [];
  const messages: WorkerMessage[] = [];
  const ends: { worker: string; reason: string; detectedInMs: number }[] = [];
  const submissions: Submission[] = [];
  const handlers: CoordinatorHandlers = {
    workerJoined: (session) => {
      behaviour.joined?.(session);
      sessions.push(session);
      changes.emit('change');
      return {
        message: (message) => {
          behaviour.received?.(message, session);
          messages.push(message);
          changes.emit('change');
        },
        closed: (reason, detectedInMs) => {
          ends.push({ worker: session.hello.worker, reason, detectedInMs });
          changes.emit('change');
        },
      };
    },
    readShard: (run, split, index) =>
      Promise.reject(new RopeteamError('DATA.SHARD', { shard: `${run}/${split}-${index}` }, 'no such shard')),
    submit: (submission) => {
      submissions.push(submission);
      return Promise.resolve(exampleSummary);
    },
    listRuns: () => Promise.resolve([exampleSummary]),
    watch: (_run, from) => yieldAll((behaviour.events ?? []).slice(from)),
    stop: (run) => Promise.resolve({ ...exampleSummary, run, state: 'stopping' }),
    resume: (run) => Promise.resolve({ ...exampleSummary, run, state: 'queued' }),
    ...behaviour.overrides,
  };
  const until = async (condition: () => boolean) => {
    while (!condition()) await once(changes, 'change', { signal: AbortSignal.timeout(10_000) });
  };
  return { handlers, sessions, messages, ends, submissions, until };
}

async function* yieldAll<Item>(items: readonly Item[]): AsyncGenerator<Item, void, undefined> {
  yield* items;
}

export const exampleSummary: RunSummary = {
  run: 'digits-7f3a',
  job: 'digits',
  state: 'training',
  step: 12,
  steps: 900,
  loss: 0.25,
  submittedAt: '2026-11-23T16:00:00.000Z',
  runPath: 'runs/digits-7f3a',
};

export function exampleHello(worker: string): WorkerHello {
  return {
    worker: workerId(worker),
    pid: 4242,
    protocolVersion: PROTOCOL_VERSION,
    host: 'localhost',
    threads: 2,
    kernelIds: ['wasm-fma/1', 'wasm-simd128/1'],
  };
}

export const examplePlan: RunPlan = {
  run: runId('digits-7f3a'),
  fence: fence(3),
  kernelId: 'wasm-simd128/1',
  model: {
    inputs: 64,
    outputs: 10,
    layers: [{ kind: 'dense', units: 32 }, { kind: 'relu' }, { kind: 'dense', units: 10 }],
    loss: { kind: 'softmaxCrossEntropy' },
    init: 'auto',
  },
  parameterCount: 2410,
  seed: 7,
  shuffle: false,
  windows: { blockRows: 100, blocks: 4 },
  epochs: 30,
  dataPath: '/runs/digits-1/data',
  batch: 256,
  microBatches: 16,
  wire: 'bfloat16',
  dataset: {
    task: 'classification',
    featureCount: 64,
    targetCount: 1,
    targetNames: ['digit'],
    classes: ['0', '1', 'nine'],
    samples: { train: 1437, validation: 180, test: 180 },
    shards: [{ split: 'train', index: 0, begin: 0, end: 1437, bytes: 373_620, sha256: 'ab'.repeat(32) }],
    preprocessing: {
      scale: 'standard',
      columns: [
        { kind: 'number', name: 'x1', shift: 0.1, factor: 3.5 },
        { kind: 'number', name: 'x2', shift: -1e300, factor: 2 ** -40, missing: 0 },
        { kind: 'oneHot', name: 'colour', categories: ['red', 'grün', ''], unseen: ['blue'] },
        { kind: 'hashed', name: 'tail', buckets: 8, seed: 0 },
      ],
    },
    dataSha256: '0f'.repeat(32),
    skippedRows: 2,
    warnings: ['column x7 is constant'],
  },
};
