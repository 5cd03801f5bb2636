/** What a model must fulfil before it is compiled. Every refusal names the layer and the sizes or values that do not fit. */
import type { LayerSpec, LossSpec, ModelSpec } from './model-spec.js';

/** @throws RangeError */
export function checkModel(spec: ModelSpec): void {
  checkSize('inputs', spec.inputs);
  checkSize('outputs', spec.outputs);
  for (const [index, layer] of spec.layers.entries()) checkLayer(`layers[${index}]`, layer);
  checkLoss(spec.loss);
  checkClassWeights(spec);
  checkEnd(spec);
}

function checkLayer(where: string, layer: LayerSpec): void {
  const { kind } = layer;
  switch (kind) {
    case 'dense':
      checkSize(`${where} dense: units`, layer.units);
      break;
    case 'leakyRelu':
      check(`${where} leakyRelu: slope`, layer.slope, 'from 0 to 1', layer.slope >= 0 && layer.slope <= 1);
      break;
    case 'dropout':
      check(`${where} dropout: rate`, layer.rate, 'at least 0 and below 1', layer.rate >= 0 && layer.rate < 1);
      break;
    case 'layerNorm':
      check(`${where} layerNorm: epsilon`, layer.epsilon, 'a float32 above 0', isPositiveFloat32(layer.epsilon));
      break;
    case 'relu':
    case 'gelu':
    case 'sigmoid':
    case 'tanh':
    case 'softmax':
      break;
    default:
      // Models are also read from files and messages, which a later version may have written.
      throw unknownKind(where, 'layer', kind satisfies never);
  }
}

function checkLoss(loss: LossSpec): void {
  const { kind } = loss;
  switch (kind) {
    case 'huber':
      check('loss huber: delta', loss.delta, 'a float32 above 0', isPositiveFloat32(loss.delta));
      break;
    case 'binaryCrossEntropy':
    case 'softmaxCrossEntropy': {
      const { labelSmoothing: share = 0 } = loss;
      check(`loss ${kind}: labelSmoothing`, share, 'at least 0 and below 1', share >= 0 && share < 1);
      break;
    }
    case 'meanSquaredError':
    case 'hinge':
      break;
    default:
      throw unknownKind('loss', 'loss', kind satisfies never);
  }
}

function checkClassWeights({ loss, outputs }: ModelSpec): void {
  if (!('classWeights' in loss) || loss.classWeights === undefined) return;
  const { kind, classWeights } = loss;
  const classes = outputs === 1 ? 2 : outputs;
  check(`loss ${kind}: classWeights`, classWeights.length, `${classes}, one a class`, classWeights.length === classes);
  for (const weight of classWeights) {
    const fits = weight >= 0 && Number.isFinite(Math.fround(weight));
    check(`loss ${kind}: a weight of classWeights`, weight, 'a float32 of at least 0', fits);
  }
}

/** The last layer gives the K outputs, and K suits the loss. */
function checkEnd(spec: ModelSpec): void {
  const index = spec.layers.length - 1;
  const last = spec.layers[index];
  if (last === undefined) {
    throw new RangeError(`layers: at least a dense layer of ${spec.outputs} units is needed, received none`);
  }
  if (last.kind !== 'dense' || last.units !== spec.outputs) {
    throw new RangeError(
      `layers[${index}]: the last layer must be dense with ${spec.outputs} units (outputs), received ${describe(last)}`,
    );
  }
  if (spec.loss.kind === 'binaryCrossEntropy' && spec.outputs !== 1) {
    throw new RangeError(`layers[${index}]: binaryCrossEntropy needs 1 output, received ${spec.outputs}`);
  }
  if (spec.loss.kind === 'softmaxCrossEntropy' && spec.outputs < 2) {
    throw new RangeError(`layers[${index}]: softmaxCrossEntropy needs at least 2 outputs, received ${spec.outputs}`);
  }
}

function describe(layer: LayerSpec): string {
  return layer.kind === 'dense' ? `dense with ${layer.units} units` : layer.kind;
}

function checkSize(what: string, size: number): void {
  check(what, size, 'a whole number of at least 1', Number.isSafeInteger(size) && size >= 1);
}

function check(what: string, value: number, wanted: string, fits: boolean): void {
  if (!fits) throw new RangeError(`${what} must be ${wanted}, received ${value}`);
}

function isPositiveFloat32(value: number): boolean {
  return Math.fround(value) > 0 && Number.isFinite(Math.fround(value));
}

function unknownKind(where: string, what: string, kind: string): RangeError {
  return new RangeError(`${where}: this version knows no ${what} of kind ${JSON.stringify(kind)}`);
}
