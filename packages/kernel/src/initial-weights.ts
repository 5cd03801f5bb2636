import type { Parameter, Program } from './kernel.js';
import { cosineOfHalfTurns } from './learning-rate.js';
import type { InitSpec, LayerSpec } from './model-spec.js';
import { PHILOX_DOMAIN, type PhiloxCounter, philox4x32, philoxKey } from './philox.js';
import { log64 } from './plain/elementary.js';

/**
 * Weights of version 0: [P]. Weights of dense layers:
 *
 * - `he`: uniform in (-limit, limit), limit = sqrt(6 / inputs); `heNormal`: normal, deviation sqrt(2 / inputs)
 * - `glorot`: limit = sqrt(6 / (inputs + units)); `glorotNormal`: deviation sqrt(2 / (inputs + units))
 * - `auto`: He where a relu, leaky relu or gelu comes next (behind dropout and layerNorm), Glorot otherwise
 * - `torch`: uniform, limit = sqrt(1 / inputs), the bias as well
 *
 * Their biases are 0 but for `torch`. A layerNorm starts with weights 1 and biases 0 under every init.
 *
 * Each value is a function of (seed, index of the parameter, index of the element) alone.
 * Sources: He et al., "Delving Deep into Rectifiers", 2015, eq. 10; Glorot and Bengio, 2010, eq. 16.
 */
export function initialWeights(program: Program, seed: number): Float32Array {
  const key = philoxKey(seed);
  const weights = new Float32Array(program.parameterCount);
  for (const [index, parameter] of program.parameters.entries()) {
    const values = weights.subarray(parameter.offset, parameter.offset + parameter.size);
    const start = startOf(program, parameter);
    if (start.kind === 'same') {
      values.fill(start.value);
      continue;
    }
    for (let first = 0; first < values.length; first += 4) {
      const quarter = first / 4;
      const counter: PhiloxCounter = [
        quarter >>> 0,
        Math.floor(quarter / 2 ** 32),
        index,
        PHILOX_DOMAIN.initialWeights,
      ];
      const words = philox4x32(counter, key);
      for (let lane = 0; lane < 4 && first + lane < values.length; lane++) {
        values[first + lane] =
          start.kind === 'uniform' ? uniform(words[lane]!) * start.limit : normal(words, lane) * start.deviation;
      }
    }
  }
  return weights;
}

/** How the values of one parameter start. */
type Start =
  | { readonly kind: 'same'; readonly value: number }
  | { readonly kind: 'uniform'; readonly limit: number }
  | { readonly kind: 'normal'; readonly deviation: number };

function startOf({ spec, parameters }: Program, { name, shape }: Parameter): Start {
  const [, layerIndex = '', role] = name.split('.');
  const index = Number(layerIndex);
  if (spec.layers[index]?.kind === 'layerNorm') return { kind: 'same', value: role === 'weight' ? 1 : 0 };
  const init = spec.init === 'auto' ? chosenInit(spec.layers, index) : spec.init;
  const [units = 0, inputs = 0] =
    role === 'weight' ? shape : (parameters.find((one) => one.name === `layers.${index}.weight`)?.shape ?? []);
  if (init === 'torch') return { kind: 'uniform', limit: Math.sqrt(1 / inputs) };
  if (role === 'bias') return { kind: 'same', value: 0 };
  switch (init) {
    case 'he':
      return { kind: 'uniform', limit: Math.sqrt(6 / inputs) };
    case 'heNormal':
      return { kind: 'normal', deviation: Math.sqrt(2 / inputs) };
    case 'glorot':
      return { kind: 'uniform', limit: Math.sqrt(6 / (inputs + units)) };
    case 'glorotNormal':
      return { kind: 'normal', deviation: Math.sqrt(2 / (inputs + units)) };
    case 'zeros':
      return { kind: 'same', value: 0 };
    default:
      return init satisfies never;
  }
}

const rectifiers: readonly LayerSpec['kind'][] = ['relu', 'leakyRelu', 'gelu'];

function chosenInit(layers: readonly LayerSpec[], dense: number): Exclude<InitSpec, 'auto'> {
  const next = layers.slice(dense + 1).find(({ kind }) => kind !== 'dropout' && kind !== 'layerNorm');
  return next !== undefined && rectifiers.includes(next.kind) ? 'he' : 'glorot';
}

/** The middle of one of 2²⁴ equal intervals of (-1, 1): symmetric about 0 and exact in double precision. */
function uniform(word: number): number {
  return ((word >>> 8) + 0.5) * 2 ** -23 - 1;
}

/**
 * One of the four normal numbers of four words: words 0 and 1 give a point in the plane, words 2 and 3 another, and each
 * has two coordinates (Box and Muller, 1958). Longest 5.9: 24 bits of the radius.
 */
function normal(words: readonly number[], lane: number): number {
  const pair = lane - (lane % 2);
  const share = ((words[pair]! >>> 8) + 0.5) * 2 ** -24;
  const radius = Math.sqrt(2 * log64(1 / share));
  const turns = uniform(words[pair + 1]!); // in half turns, from -1 to 1
  return radius * (lane % 2 === 0 ? cosineOfHalfTurns(Math.abs(turns)) : sineOfHalfTurns(turns));
}

/** sin(π·x) = cos(π·(x - ½)), x in [-1, 1]. */
function sineOfHalfTurns(x: number): number {
  const size = cosineOfHalfTurns(Math.abs(Math.abs(x) - 0.5));
  return x < 0 ? -size : size;
}
