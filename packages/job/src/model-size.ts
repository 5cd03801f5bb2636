/** How many parameters a stack of layers has, and how many are too many. */
import { type JobSpec, RopeteamError } from '#training';

export type LayerSpec = JobSpec['model']['layers'][number];

/**
 * The kernel's linear memory is 4 GiB at the most, and a step with Adam holds four floats a parameter: weight,
 * gradient and two moments. More parameters than this cannot fit whatever else is set.
 */
const mostParameters = 2 ** 28;

/** Parameters of layers one after the other: (inputs + 1) * units of a dense one, two for each number of a layerNorm. */
export function parameterCount(inputs: number, layers: readonly LayerSpec[]): number {
  let width = inputs;
  let count = 0;
  for (const layer of layers) {
    if (layer.kind === 'layerNorm') count += 2 * width;
    if (layer.kind !== 'dense') continue;
    count += (width + 1) * layer.units;
    width = layer.units;
  }
  return count;
}

/** What is wrong with a model of this many parameters; undefined when it fits. */
export function tooLarge(parameters: number): { readonly bytes: number; readonly message: string } | undefined {
  if (parameters <= mostParameters) return undefined;
  const bytes = parameters * 4;
  const message =
    `the model has ${parameters} parameters and its weights need ${gibibytes(bytes)}; ` +
    `the limit is ${mostParameters} parameters, ${gibibytes(mostParameters * 4)}`;
  return { bytes, message };
}

/** What is said of a model that is within `mostParameters`, and whose step needs more kernel memory than there can be. */
export function modelTooLarge(cause: Error & { readonly bytes: number; readonly limitBytes: number }): RopeteamError {
  const { bytes, limitBytes, message } = cause;
  const much = `${gibibytes(bytes)} where ${gibibytes(limitBytes)} can be addressed`;
  const hint =
    'make the dense layers smaller, use fewer inputs, or set fewer train.microBatches or a smaller train.batch';
  return new RopeteamError('MODEL.TOO_LARGE', { bytes }, `${message}: ${much}`, { hint }); // its message is in ours: as a cause it would be told twice
}

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
