import type { Parameter, Program } from './kernel.js';
import type { InitSpec, ModelSpec } from './model-spec.js';
import { PHILOX_DOMAIN, philox4x32, philoxKey } from './philox.js';

/**
 * Weights of version 0: [P]. A weight is uniform in (-limit, limit), a bias 0.
 *
 * - He: limit = sqrt(6 / inputs); Glorot: limit = sqrt(6 / (inputs + units))
 * - `auto`: He when a relu follows the layer at once, Glorot otherwise
 *
 * Each value is a function of (seed, index of the parameter, index of the element) alone.
 * Sources: He et al., "Delving Deep into Rectifiers", 2015, eq. 10; Glorot and Bengio, 2010, eq. 16.
 */
export function initialWeights(program: Program, seed: number): Float32Array {
  const key = philoxKey(seed);
  const weights = new Float32Array(program.parameterCount);
  for (const [index, parameter] of program.parameters.entries()) {
    const limit = uniformLimit(program.spec, parameter);
    if (limit === 0) continue;
    const values = weights.subarray(parameter.offset, parameter.offset + parameter.size);
    for (let first = 0; first < values.length; first += 4) {
      const quarter = first / 4;
      const words = philox4x32(
        [quarter >>> 0, Math.floor(quarter / 2 ** 32), index, PHILOX_DOMAIN.initialWeights],
        key,
      );
      for (let lane = 0; lane < 4 && first + lane < values.length; lane++) {
        // The middle of one of 2²⁴ equal intervals of (-1, 1): symmetric about 0 and exact in double precision.
        const unit = ((words[lane]! >>> 8) + 0.5) * 2 ** -23 - 1;
        values[first + lane] = unit * limit;
      }
    }
  }
  return weights;
}

/** 0 for a parameter that starts at zero. */
function uniformLimit(spec: ModelSpec, parameter: Parameter): number {
  const [units, inputs] = parameter.shape;
  if (units === undefined || inputs === undefined) return 0;
  switch (initOf(spec, parameter)) {
    case 'he':
      return Math.sqrt(6 / inputs);
    case 'glorot':
      return Math.sqrt(6 / (inputs + units));
    case 'zeros':
      return 0;
  }
}

function initOf(spec: ModelSpec, parameter: Parameter): Exclude<InitSpec, 'auto'> {
  if (spec.init !== 'auto') return spec.init;
  const layer = Number(parameter.name.split('.')[1]);
  return spec.layers[layer + 1]?.kind === 'relu' ? 'he' : 'glorot';
}
