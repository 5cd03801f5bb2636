/** The run that a simulated cluster trains, and what its coordinator does with frames. */
import { takesGradients } from './held-items.js';
import { fence, runId } from './identities.js';
import type { GradientReceipt } from './messages.js';
import { shapeRun } from './run-shape.js';
import { newRun, type RunState } from './run-state.js';
import type { SimulationOptions } from './simulation-options.fixture.js';
import { gradientKey } from './work-items.js';

export function simulatedRun(options: SimulationOptions): RunState {
  const train = {
    wire: 'float32',
    limit: { kind: 'epochs', epochs: options.epochs },
    batch: options.batch,
    microBatches: options.microBatches,
    optimizer: { kind: 'sgd', learningRate: 1 },
    schedule: { warmup: 0, after: { kind: 'constant' } },
    stop: {},
    shuffle: true,
    seed: 1,
  } as const;
  const samples = { train: options.train, validation: options.validation, test: options.test };
  const shape = shapeRun(runId('simulated'), fence(1), train, samples, 10);
  const plan = { grain: options.grain === 'run' ? 'run' : 'step', stepsPerLease: 3 } as const;
  return newRun({
    shape,
    rules: options.keep === undefined ? {} : { keep: options.keep },
    task: 'regression',
    targetCount: 1,
    plan,
    openLeases: options.seed % 2 === 0 ? 2 : 4,
    ...(options.verify === undefined ? {} : { verify: { share: options.verify, seed: options.seed >>> 0 } }),
    ...(options.nonFinite === undefined ? {} : { onNonFinite: options.nonFinite.policy }),
  });
}

/** Whether a block's frames were thrown away though the block is still wanted. */
export function framesAreDropped(now: RunState, { step, block }: GradientReceipt): boolean {
  const held = now.items.get(gradientKey(step, block));
  return held !== undefined && held.receipt === undefined && !takesGradients(now, step);
}

/** The one that lies, or is slow, where a test wants that. */
export const isFirstWorker = ({ name }: { readonly name: string }): boolean => name === 'w0';
