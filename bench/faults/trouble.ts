/** The nemesis of `ropeteam chaos` for measurements: a made-up job, trained in peace and under a plan of faults. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunEvent, runId } from '#training';
import { type Experiment, trainInPeace, trainInTrouble } from '../../cli/src/chaos/experiment.js';
import { type FaultPlanOptions, planFaults } from '../../cli/src/chaos/fault-plan.js';
import type { ClusterParts } from '../../cli/src/cluster/cluster.js';
import { loadJob } from '../../cli/src/commands/job-input.js';
import { type LocalOptions, trainLocally } from '../../cli/src/commands/local-run.js';
import { readEnvironment } from '../../cli/src/environment.js';
import { type Interrupts, listenForInterrupts } from '../../cli/src/interrupts.js';
import { openTerminal } from '../../cli/src/terminal.js';
import { makeUpJob } from '../made-up-job.js';

export type Finished = Extract<RunEvent, { event: 'run_finished' }>;

export interface Cluster {
  readonly workers: number;
  /** `step`: every step is shared out; `run`: leases of whole steps. */
  readonly grain: 'step' | 'run';
}

export interface Troubled {
  readonly finished: Finished;
  /** From `run_started` to `run_finished`. */
  readonly seconds: number;
  /** Faults that found somebody. */
  readonly struck: number;
}

export interface Laboratory extends Disposable {
  /** Trains so many steps undisturbed. */
  calm(steps: number, cluster: Cluster): Promise<Troubled>;
  /** Trains under a plan, to the end of its steps or until `interrupts.raise`. */
  troubled(steps: number, cluster: Cluster, plan: Plan, onCluster?: (parts: ClusterParts) => void): Promise<Troubled>;
  /** Of the run in hand. */
  readonly interrupts: Interrupts;
}

export type Plan = Omit<FaultPlanOptions, 'workers'>;

/** @param folder a temporary one: job, rows and runs go there */
export async function openLaboratory(folder: string): Promise<Laboratory> {
  const job = await makeUpJob({ name: 'faults', workload: 'W3', steps: 1, optimizer: OPTIMIZER }, folder);
  const path = join(folder, 'job.yaml');
  await writeFile(path, job.text);
  const environment = { ...readEnvironment(process.env), redisUrl: undefined };
  const terminal = openTerminal(process.stdout, process.stderr, { ...environment, redraw: false });
  let interrupts = listenForInterrupts(process);
  let born = 0;

  const experiment = async (steps: number, { workers, grain }: Cluster): Promise<Experiment> => {
    interrupts[Symbol.dispose]();
    interrupts = listenForInterrupts(process);
    const local: LocalOptions = {
      ...{ workers, threads: 1, grain, kernel: 'wasm', out: join(folder, 'runs') },
      ...{ json: false, quiet: true, verbose: false, everyStep: false },
    };
    const set = [`train.steps=${steps}`, 'checkpoint.every=5s'];
    const input = await loadJob(path, folder, { set });
    return { input, local, context: { terminal, environment, interrupts, directory: folder }, train: trainLocally };
  };
  return {
    get interrupts() {
      return interrupts;
    },
    calm: async (steps, cluster) => {
      const { events } = await trainInPeace(runId(`calm-${born++}`), await experiment(steps, cluster));
      return outcome(events, 0);
    },
    troubled: async (steps, cluster, plan, onCluster) => {
      const faults = planFaults({ ...plan, workers: cluster.workers });
      const tried = await experiment(steps, cluster);
      const { events, inflicted } = await trainInTrouble(runId(`troubled-${born++}`), faults, {
        ...tried,
        ...(onCluster === undefined ? {} : { onCluster }),
      });
      return outcome(events, inflicted.filter(({ missed }) => !missed).length);
    },
    [Symbol.dispose]: () => interrupts[Symbol.dispose](),
  };
}

/** With a state of its own, which has to survive too. */
const OPTIMIZER = '{ momentum: { learningRate: 0.01 } }';

function outcome(events: readonly RunEvent[], struck: number): Troubled {
  const started = events.find(({ event }) => event === 'run_started');
  const finished = events.findLast((event): event is Finished => event.event === 'run_finished');
  if (started === undefined || finished === undefined)
    throw new Error(`the run did not finish; its last event: ${JSON.stringify(events.at(-1))}`);
  return { finished, seconds: (Date.parse(finished.time) - Date.parse(started.time)) / 1000, struck };
}

export function sameBits(one: Troubled, other: Troubled): boolean {
  return (
    one.finished.weightsSha256 === other.finished.weightsSha256 &&
    one.finished.optimizerSha256 === other.finished.optimizerSha256
  );
}
