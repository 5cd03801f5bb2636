import { initialWeights, type ModelSpec, type Program } from '#kernel';
import { type PreparedDataset, readInitialWeights } from '#storage';
import type { InitFrom } from '#training';
import type { RunEntry } from './run-book.js';

/** What the weights of version 0 are, and what a person should know about them. */
export interface StartingWeights {
  /** Absent: drawn from the seed. */
  readonly initFrom?: InitFrom;
  readonly warnings: readonly string[];
}

export interface Started {
  readonly program: Program;
  readonly model: ModelSpec;
  readonly dataset: PreparedDataset;
  readonly seed: number;
}

/**
 * Writes version 0: the weights of the file that was submitted with the job, or else those that follow from the seed.
 * @param into [P]
 * @throws RopeteamError MODEL.INIT, MODEL.SHAPE when the file does not fit the model
 */
export async function writeStartingWeights(
  entry: Pick<RunEntry, 'initFrom'>,
  { program, model, dataset, seed }: Started,
  into: Float32Array,
  signal: AbortSignal,
): Promise<StartingWeights> {
  if (entry.initFrom === undefined) {
    into.set(initialWeights(program, seed));
    return { warnings: [] };
  }
  const { weights, model: described } = entry.initFrom;
  const modelPath = described === undefined ? {} : { modelPath: described.storedAt };
  const file = { path: weights.storedAt, name: weights.path, ...modelPath };
  const started = { parameters: program.parameters, spec: model, dataset: dataset.info };
  const { from, notes } = await readInitialWeights(file, started, into, signal);
  return { initFrom: from, warnings: notes };
}
