/**
 * Runs a model without anything but JavaScript. The export `js` embeds this file, as compiled, beside the weights: so it
 * imports nothing and keeps to what browsers have. Its sums are in double precision, its results within 1e-5 of `predict`.
 */

interface StandaloneColumn {
  readonly name: string;
  readonly shift?: number;
  readonly factor?: number;
  readonly missing?: number;
  /** Absent: a number. */
  readonly categories?: readonly string[];
  /** Words that are no category and yet no mistake. */
  readonly unseen?: readonly string[];
  /** Present: a word is the input of its hash. */
  readonly buckets?: number;
  readonly seed?: number;
}

type HashWord = (text: string, seed: number) => number;

interface StandaloneLayer {
  readonly kind: string;
  readonly units?: number;
  readonly slope?: number;
  readonly epsilon?: number;
}

export interface StandaloneModel {
  readonly columns: readonly StandaloneColumn[];
  readonly layers: readonly StandaloneLayer[];
  readonly loss: string;
  readonly targets: readonly string[];
  /** Present: a target is output / factor + shift. */
  readonly scaling?: readonly { readonly shift: number; readonly factor: number }[];
  readonly classes: readonly string[];
  /** Little-endian float32s of all parameters in the order of the layers, each weight before its bias. */
  readonly weightsBase64: string;
}

type StandaloneRow = Readonly<Record<string, unknown>>;

export type StandalonePrediction =
  | { readonly label: string; readonly probabilities?: Readonly<Record<string, number>> }
  | Readonly<Record<string, number>>;

/** A function from one row, an object by column name, to its prediction. It throws a TypeError for a cell it cannot take. */
export function createPredictor(model: StandaloneModel, hash: HashWord): (row: StandaloneRow) => StandalonePrediction {
  const { columns, layers, loss, targets, scaling, classes } = model;
  const weights = decodeFloats(model.weightsBase64);
  return (row) => {
    let values = encodeRow(columns, row, hash);
    let offset = 0;
    for (const layer of layers) {
      const next = applyLayer(layer, values, weights, offset);
      offset += parameterCount(layer, values.length);
      values = next;
    }
    if (classes.length === 0) {
      const inUnits = Array.from(values, (value, index) => {
        const { factor, shift } = scaling?.[index] ?? { factor: 1, shift: 0 };
        return value / factor + shift;
      });
      return Object.fromEntries(targets.map((name, index) => [name, inUnits[index]!]));
    }
    return decideClass(loss, classes, values);
  };
}

function decodeFloats(base64: string): Float32Array {
  const text = atob(base64);
  const view = new DataView(new ArrayBuffer(text.length));
  for (let index = 0; index < text.length; index++) view.setUint8(index, text.charCodeAt(index));
  return Float32Array.from({ length: text.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
}

function encodeRow(columns: readonly StandaloneColumn[], row: StandaloneRow, hash: HashWord): Float32Array {
  const width = columns.reduce((sum, { categories, buckets }) => sum + (buckets ?? categories?.length ?? 1), 0);
  const encoded = new Float32Array(width);
  let at = 0;
  for (const column of columns) {
    const cell = Object.hasOwn(row, column.name) ? row[column.name] : undefined;
    if (column.buckets !== undefined) {
      const text = cell === null || cell === undefined ? '' : String(cell).trim();
      if (text !== '') encoded[at + (hash(text, column.seed ?? 0) % column.buckets)] = 1;
      at += column.buckets;
    } else if (column.categories === undefined) {
      encoded[at++] = (readNumber(column, cell) - (column.shift ?? 0)) * (column.factor ?? 1);
    } else {
      const text = cell === null || cell === undefined ? '' : String(cell).trim();
      const place = column.categories.indexOf(text);
      if (place >= 0) encoded[at + place] = 1;
      else if (text !== '' && !column.unseen?.includes(text))
        throw new TypeError(`${column.name}: ${JSON.stringify(text)} was not in the training data`);
      at += column.categories.length;
    }
  }
  return encoded;
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const MISSING = ['', 'NA', 'N/A', 'NaN', 'nan', 'null', 'NULL', '?'];

function readNumber({ name, missing }: StandaloneColumn, cell: unknown): number {
  const text = cell === null || cell === undefined ? '' : String(cell).trim();
  const isMissing = MISSING.includes(text);
  const value = isMissing ? missing : typeof cell === 'boolean' ? Number(cell) : parseDecimal(text);
  if (value === undefined)
    throw new TypeError(`${name}: the cell is empty, and the model was trained without empty ones`);
  if (!Number.isFinite(Math.fround(value))) throw new TypeError(`${name}: ${text} is not a number`);
  return value;
}

function parseDecimal(text: string): number {
  return DECIMAL.test(text) ? Number(text) : Number.NaN;
}

function parameterCount({ kind, units = 0 }: StandaloneLayer, width: number): number {
  if (kind === 'dense') return units * (width + 1);
  return kind === 'layerNorm' ? 2 * width : 0;
}

function applyLayer(layer: StandaloneLayer, x: Float32Array, weights: Float32Array, offset: number): Float32Array {
  switch (layer.kind) {
    case 'dense':
      return dense(x, weights, offset, layer.units ?? 0);
    case 'relu':
      return x.map((value) => Math.max(value, 0));
    case 'leakyRelu':
      return x.map((value) => (value > 0 ? value : value * (layer.slope ?? 0)));
    case 'gelu':
      return x.map((value) => 0.5 * value * errorFunctionComplement(-value * Math.SQRT1_2));
    case 'sigmoid':
      return x.map((value) => 1 / (1 + Math.exp(-value)));
    case 'tanh':
      return x.map((value) => Math.tanh(value));
    case 'softmax':
      return Float32Array.from(softmax(x));
    case 'layerNorm': {
      const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
      const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
      const factor = 1 / Math.sqrt(variance + (layer.epsilon ?? 0));
      return x.map((value, i) => (value - mean) * factor * weights[offset + i]! + weights[offset + x.length + i]!);
    }
    case 'dropout':
      return x;
    default:
      throw new TypeError(`unknown layer ${layer.kind}`);
  }
}

function dense(x: Float32Array, weights: Float32Array, offset: number, units: number): Float32Array {
  const width = x.length;
  const y = new Float32Array(units);
  for (let unit = 0; unit < units; unit++) {
    let sum = weights[offset + units * width + unit]!;
    const first = offset + unit * width;
    for (let i = 0; i < width; i++) sum += x[i]! * weights[first + i]!;
    y[unit] = sum;
  }
  return y;
}

/**
 * 1 - erf(x), off by at most 1.2e-7 of itself: Numerical Recipes, section 6.2 (Chebyshev fit in t = 1 / (1 + |x| / 2)).
 */
function errorFunctionComplement(x: number): number {
  const t = 1 / (1 + 0.5 * Math.abs(x));
  const coefficients = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
  ];
  const polynomial = coefficients.reduceRight((sum, coefficient) => sum * t + coefficient, 0);
  const tail = t * Math.exp(-x * x + polynomial);
  return x >= 0 ? tail : 2 - tail;
}

function softmax(x: Float32Array): number[] {
  const largest = x.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const powers = Array.from(x, (value) => Math.exp(value - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function decideClass(loss: string, classes: readonly string[], scores: Float32Array): StandalonePrediction {
  const first = scores[0]!;
  const best = scores.length === 1 ? Number(first > 0) : scores.indexOf(scores.reduce((most, z) => Math.max(most, z)));
  const label = classes[best]!;
  if (loss === 'hinge') return { label };
  const second = 1 / (1 + Math.exp(-first));
  const probabilities = loss === 'binaryCrossEntropy' ? [1 - second, second] : softmax(scores);
  return { label, probabilities: Object.fromEntries(classes.map((name, index) => [name, probabilities[index]!])) };
}
