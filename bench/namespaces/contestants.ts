/** What is measured between namespaces: a model, how it is exchanged, over which links. */
import type { RunEvent } from '#training';
import { digitsJob } from '../../test/support/jobs.js';
import { median } from '../kernel/take-turns.js';
import type { NamespaceCluster } from './cluster.js';

export interface Model {
  readonly name: string;
  readonly layers: string;
  readonly parameters: number;
}

export const MODELS: readonly Model[] = [
  { name: '0.1M', layers: '[{ dense: 1360 }, relu]', parameters: 102_010 },
  { name: '8.4M', layers: '[{ dense: 2048 }, relu, { dense: 4000 }, relu]', parameters: 8_369_130 },
];

/** Local steps between two exchanges. */
const LOCAL_STEPS = 50;

export interface Contestant {
  readonly name: string;
  readonly train: Readonly<Record<string, string>>;
  readonly localSteps: number;
}

export const CONTESTANTS: readonly Contestant[] = [
  ...['float32', 'bfloat16', 'int8'].map((wire) => ({ name: wire, train: { wire }, localSteps: 1 })),
  { name: `local ${LOCAL_STEPS}`, train: { wire: 'float32' }, localSteps: LOCAL_STEPS },
];

export interface Case {
  readonly rate: string;
  readonly workers: number;
  readonly model: Model;
  readonly contestant: Contestant;
}

/** Figures of one case; all of one step, or of one local step. */
export interface Row {
  readonly rate: string;
  readonly workers: number;
  readonly model: string;
  readonly exchange: string;
  /** Steps, or rounds, measured. */
  readonly measured: number;
  readonly stepMs: number;
  /** The slowest worker's time in the kernel. */
  readonly computeMs: number;
  /** From the link's own counters, over the whole run. */
  readonly sentMB: number;
  readonly receivedMB: number;
  readonly lost: number;
}

/** A link that is slow beside the bytes is measured for fewer steps: seconds each. */
function stepsOf({ rate, model, contestant }: Case): { readonly steps: number; readonly warmup: number } {
  const large = model.parameters > 1_000_000;
  if (contestant.localSteps > 1) return large ? { steps: 2, warmup: 1 } : { steps: 12, warmup: 2 };
  if (large) return rate === '100mbit' ? { steps: 3, warmup: 1 } : { steps: 8, warmup: 2 };
  return { steps: 120, warmup: 20 };
}

/** One sample for each worker in a step: next to nothing is computed beside the exchange. */
export async function rowOf(cluster: NamespaceCluster, stopped: AbortSignal, given: Case): Promise<Row> {
  const { rate, workers, model, contestant } = given;
  const { steps, warmup } = stepsOf(given);
  const { localSteps } = contestant;
  const rounds = localSteps > 1 ? { localSteps: `{ steps: ${localSteps}, replicas: ${workers} }` } : {};
  const cut = localSteps > 1 ? {} : { microBatches: workers };
  const optimizer = '{ sgd: { learningRate: 0.001 } }';
  const train = { ...contestant.train, ...rounds, ...cut, batch: workers, optimizer, steps: steps * localSteps };
  const { text, files } = digitsJob(train, model.layers);
  const job = text.replace('target: digit', 'target: digit, split: { validation: 0, test: 0 }');
  const { events, sent, received } = await cluster.measure({ text: job, files }, stopped);
  const all = events.filter((event): event is Step => event.event === 'step_committed');
  const counted = all.filter(({ step }) => step >= warmup);
  const each = (value: (step: Step) => number): number => median(counted.map(value)) / localSteps;
  // The weights of version 0 go out before the first step, to every worker.
  const exchanges = all.length * localSteps;
  return {
    ...{ rate, workers, model: model.name, exchange: contestant.name },
    measured: counted.length,
    stepMs: each(({ durationMs }) => durationMs),
    computeMs: each(({ phases }) => phases.computeMs),
    sentMB: sent / 1e6 / exchanges,
    receivedMB: received / 1e6 / exchanges,
    lost: events.filter(({ event }) => event === 'worker_lost').length,
  };
}

type Step = Extract<RunEvent, { event: 'step_committed' }>;
