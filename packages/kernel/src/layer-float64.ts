/** Each layer and its derivative for one sample, from the formulas, in double precision. For tests. */
import type { SampleDraws } from './kernel.js';
import type { LayerSpec } from './model-spec.js';
import { PHILOX_DOMAIN, philox4x32, philoxKey } from './philox.js';

export interface LayerGradient {
  /** With respect to what went in. */
  readonly input: Float64Array;
  /** With respect to the layer's own parameters, weight before bias. */
  readonly parameters: Float64Array;
}

/** Of one sample (`firstPosition`) in one layer. */
type LayerDraws = (SampleDraws & { readonly layer: number }) | undefined;

/** How many parameters a layer has behind `width` numbers. */
export function parametersOf64(layer: LayerSpec, width: number): number {
  if (layer.kind === 'dense') return layer.units * (width + 1);
  return layer.kind === 'layerNorm' ? 2 * width : 0;
}

export function layerOutput64(layer: LayerSpec, x: Float64Array, weights: Float64Array, draws: LayerDraws) {
  switch (layer.kind) {
    case 'dense':
      return new Float64Array(layer.units).map((_, unit) => {
        const first = unit * x.length;
        return x.reduce((sum, value, i) => sum + value * weights[first + i]!, weights[layer.units * x.length + unit]!);
      });
    case 'softmax':
      return softmax(x);
    case 'dropout':
      return x.map((value, unit) => value * maskAt(layer.rate, unit, draws));
    case 'layerNorm':
      return normalized(x, layer.epsilon).values.map((n, i) => n * weights[i]! + weights[x.length + i]!);
    default:
      return x.map((value) => activationOf(layer, value));
  }
}

/** @param g gradient with respect to the layer's output */
export function layerBackward64(
  layer: LayerSpec,
  x: Float64Array,
  weights: Float64Array,
  g: Float64Array,
  draws: LayerDraws,
): LayerGradient {
  const none = new Float64Array(0);
  switch (layer.kind) {
    case 'dense': {
      const parameters = new Float64Array(weights.length);
      const input = new Float64Array(x.length);
      for (const [unit, towards] of g.entries()) {
        parameters[layer.units * x.length + unit] = towards;
        for (const [i, value] of x.entries()) {
          parameters[unit * x.length + i] = towards * value;
          input[i]! += towards * weights[unit * x.length + i]!;
        }
      }
      return { input, parameters };
    }
    case 'softmax': {
      const y = softmax(x);
      // Row j of the Jacobian: ∂y_i / ∂x_j = y_i · ([i = j] - y_j).
      const input = x.map((_, j) => y.reduce((sum, yi, i) => sum + g[i]! * yi * ((i === j ? 1 : 0) - y[j]!), 0));
      return { input, parameters: none };
    }
    case 'dropout':
      return { input: g.map((towards, unit) => towards * maskAt(layer.rate, unit, draws)), parameters: none };
    case 'layerNorm': {
      const { values, deviation } = normalized(x, layer.epsilon);
      const towards = g.map((value, i) => value * weights[i]!);
      // ∂n_i / ∂x_j = ([i = j] - 1/W - n_i · n_j / W) / deviation, W the width.
      const input = x.map((_, j) =>
        towards.reduce((sum, t, i) => {
          const jacobian = (i === j ? 1 : 0) - (1 + values[i]! * values[j]!) / x.length;
          return sum + (t * jacobian) / deviation;
        }, 0),
      );
      return { input, parameters: Float64Array.of(...g.map((value, i) => value * values[i]!), ...g) };
    }
    default:
      return { input: g.map((towards, i) => towards * derivativeOf(layer, x[i]!)), parameters: none };
  }
}

type ActivationSpec = Exclude<LayerSpec, { readonly kind: 'dense' | 'softmax' | 'dropout' | 'layerNorm' }>;

function activationOf(layer: ActivationSpec, x: number): number {
  switch (layer.kind) {
    case 'relu':
      return Math.max(0, x);
    case 'leakyRelu':
      return x > 0 ? x : layer.slope * x;
    case 'gelu':
      return x * cumulative64(x);
    case 'sigmoid':
      return 1 / (1 + Math.exp(-x));
    case 'tanh':
      return Math.tanh(x);
    default:
      return layer satisfies never;
  }
}

function derivativeOf(layer: ActivationSpec, x: number): number {
  switch (layer.kind) {
    case 'relu':
      return x > 0 ? 1 : 0;
    case 'leakyRelu':
      return x > 0 ? 1 : layer.slope;
    case 'gelu':
      return cumulative64(x) + x * density64(x);
    case 'sigmoid':
      return 1 / ((1 + Math.exp(-x)) * (1 + Math.exp(x)));
    case 'tanh':
      return 1 - Math.tanh(x) ** 2;
    default:
      return layer satisfies never;
  }
}

export function density64(x: number): number {
  return Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
}

/**
 * The normal distribution's cumulative function. Near 0 by ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …), all terms of one sign
 * (Marsaglia, "Evaluating the Normal Distribution", 2004); in the tails by Laplace's continued fraction.
 */
export function cumulative64(x: number): number {
  if (Math.abs(x) > 4) {
    const size = Math.abs(x);
    let fraction = size;
    for (let n = 120; n >= 1; n--) fraction = size + n / fraction;
    const tail = density64(x) / fraction;
    return x < 0 ? tail : 1 - tail;
  }
  let term = x;
  let sum = x;
  for (let n = 3; Math.abs(term) > 1e-18 * Math.abs(sum); n += 2) {
    term *= (x * x) / n;
    sum += term;
  }
  return 0.5 + density64(x) * sum;
}

function softmax(x: Float64Array): Float64Array {
  const largest = Math.max(...x);
  const total = x.reduce((sum, z) => sum + Math.exp(z - largest), 0);
  return x.map((z) => Math.exp(z - largest) / total);
}

function normalized(x: Float64Array, epsilon: number) {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  const deviation = Math.sqrt(variance + epsilon);
  return { deviation, values: x.map((value) => (value - mean) / deviation) };
}

/** What a unit is multiplied by: the definition in `Routines.dropout`, one unit at a time. */
function maskAt(rate: number, unit: number, draws: LayerDraws): number {
  if (draws === undefined || rate === 0) return 1;
  const { seed, epoch, firstPosition: position, layer } = draws;
  const [key0, key1] = philox4x32([epoch, 0, layer, PHILOX_DOMAIN.dropout], philoxKey(seed));
  const counter = [
    4 * Math.floor(unit / 16) + (unit % 4),
    position % 2 ** 32,
    Math.floor(position / 2 ** 32),
    0,
  ] as const;
  const word = philox4x32(counter, [key0, key1])[Math.floor(unit / 4) % 4]!;
  return word / 2 ** 32 >= rate ? 1 / (1 - rate) : 0;
}
