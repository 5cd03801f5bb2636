/** `RunPlan` and the model in it as messages of plan.proto, both ways. */
import type { InitSpec, LayerSpec, LossSpec, ModelSpec, WindowCut, WireFormat } from '#kernel';
import type { RunPlan } from '#training';
import { datasetFromMessage, datasetToMessage } from './dataset-message.js';
import { type Fields, invalidField, inverted } from './fields.js';
import { leasesFromMessage, leasesToMessage } from './lease-message.js';
import { localFromMessage, localToMessage } from './local-message.js';
import type { PlainMessage } from './proto-definitions.js';

const losses = {
  LOSS_MEAN_SQUARED_ERROR: 'meanSquaredError',
  LOSS_HUBER: 'huber',
  LOSS_BINARY_CROSS_ENTROPY: 'binaryCrossEntropy',
  LOSS_SOFTMAX_CROSS_ENTROPY: 'softmaxCrossEntropy',
  LOSS_HINGE: 'hinge',
} as const satisfies Record<string, LossSpec['kind']>;

const inits = {
  INIT_AUTO: 'auto',
  INIT_HE: 'he',
  INIT_HE_NORMAL: 'heNormal',
  INIT_GLOROT: 'glorot',
  INIT_GLOROT_NORMAL: 'glorotNormal',
  INIT_TORCH: 'torch',
  INIT_ZEROS: 'zeros',
} as const satisfies Record<string, InitSpec>;

const wires = {
  WIRE_FLOAT32: 'float32',
  WIRE_BFLOAT16: 'bfloat16',
  WIRE_INT8: 'int8',
} as const satisfies Record<string, WireFormat>;

export function planToMessage(plan: RunPlan): PlainMessage {
  return {
    runId: plan.run,
    fence: plan.fence,
    kernelId: plan.kernelId,
    model: modelToMessage(plan.model),
    parameterCount: plan.parameterCount,
    seed: plan.seed,
    inFileOrder: !plan.shuffle,
    epochs: plan.epochs,
    batch: plan.batch,
    microBatches: plan.microBatches,
    wire: inverted(wires)[plan.wire],
    ...(plan.windows === undefined ? {} : { windows: plan.windows }),
    dataset: datasetToMessage(plan.dataset),
    ...(plan.dataPath === undefined ? {} : { dataPath: plan.dataPath }),
    ...(plan.leases === undefined ? {} : { leases: leasesToMessage(plan.leases) }),
    ...(plan.local === undefined ? {} : { local: localToMessage(plan.local) }),
  };
}

export function planFromMessage(fields: Fields): RunPlan {
  return {
    run: fields.runId('runId'),
    fence: fields.fence('fence'),
    kernelId: fields.text('kernelId', 64),
    model: modelFromMessage(fields.message('model')),
    parameterCount: fields.positive('parameterCount'),
    seed: fields.natural('seed'),
    shuffle: !fields.flag('inFileOrder'),
    epochs: fields.positive('epochs'),
    batch: fields.positive('batch'),
    microBatches: fields.positive('microBatches'),
    wire: fields.choice('wire', wires),
    ...(fields.has('windows') ? { windows: windowsFromMessage(fields.message('windows')) } : {}),
    dataset: datasetFromMessage(fields.message('dataset')),
    ...(fields.has('dataPath') ? { dataPath: fields.text('dataPath', 4096) } : {}),
    ...(fields.has('leases') ? { leases: leasesFromMessage(fields.message('leases')) } : {}),
    ...(fields.has('local') ? { local: localFromMessage(fields.message('local')) } : {}),
  };
}

function windowsFromMessage(fields: Fields): WindowCut {
  return { blockRows: fields.positive('blockRows'), blocks: fields.positive('blocks') };
}

function modelToMessage(model: ModelSpec): PlainMessage {
  return {
    inputs: model.inputs,
    outputs: model.outputs,
    layers: model.layers.map(layerToMessage),
    loss: inverted(losses)[model.loss.kind],
    ...lossSettings(model.loss),
    init: inverted(inits)[model.init],
  };
}

/** Settings of a loss stand beside its name; the others keep 0, proto3's absence. */
function lossSettings(loss: LossSpec): PlainMessage {
  switch (loss.kind) {
    case 'huber':
      return { huberDelta: loss.delta };
    case 'binaryCrossEntropy':
    case 'softmaxCrossEntropy':
      return { labelSmoothing: loss.labelSmoothing ?? 0, classWeights: loss.classWeights ?? [] };
    case 'hinge':
      return { classWeights: loss.classWeights ?? [] };
    case 'meanSquaredError':
      return {};
    default:
      return loss satisfies never;
  }
}

function layerToMessage(layer: LayerSpec): PlainMessage {
  switch (layer.kind) {
    case 'dense':
      return { dense: { units: layer.units } };
    case 'leakyRelu':
      return { leakyRelu: { slope: layer.slope } };
    case 'dropout':
      return { dropout: { rate: layer.rate } };
    case 'layerNorm':
      return { layerNorm: { epsilon: layer.epsilon } };
    case 'relu':
    case 'gelu':
    case 'sigmoid':
    case 'tanh':
    case 'softmax':
      return { [layer.kind]: {} };
    default:
      return layer satisfies never;
  }
}

function modelFromMessage(fields: Fields): ModelSpec {
  return {
    inputs: fields.positive('inputs'),
    outputs: fields.positive('outputs'),
    layers: fields.messages('layers').map(layerFromMessage),
    loss: lossFromMessage(fields),
    init: fields.choice('init', inits),
  };
}

function lossFromMessage(fields: Fields): LossSpec {
  const kind = fields.choice('loss', losses);
  switch (kind) {
    case 'huber':
      return { kind, delta: fields.finite('huberDelta') };
    case 'binaryCrossEntropy':
    case 'softmaxCrossEntropy': {
      const labelSmoothing = fields.finite('labelSmoothing');
      return { kind, ...(labelSmoothing === 0 ? {} : { labelSmoothing }), ...classWeightsOf(fields) };
    }
    case 'hinge':
      return { kind, ...classWeightsOf(fields) };
    case 'meanSquaredError':
      return { kind };
    default:
      return kind satisfies never;
  }
}

function classWeightsOf(fields: Fields): { readonly classWeights?: readonly number[] } {
  const classWeights = fields.finites('classWeights');
  return classWeights.length === 0 ? {} : { classWeights };
}

/** A kind that a later version added is a `oneof` without a member here. Ranges are checked when the model is compiled. */
function layerFromMessage(fields: Fields): LayerSpec {
  if (fields.has('dense')) return { kind: 'dense', units: fields.message('dense').positive('units') };
  if (fields.has('leakyRelu')) return { kind: 'leakyRelu', slope: fields.message('leakyRelu').finite('slope') };
  if (fields.has('dropout')) return { kind: 'dropout', rate: fields.message('dropout').finite('rate') };
  if (fields.has('layerNorm')) return { kind: 'layerNorm', epsilon: fields.message('layerNorm').finite('epsilon') };
  for (const kind of ['relu', 'gelu', 'sigmoid', 'tanh', 'softmax'] as const) if (fields.has(kind)) return { kind };
  throw invalidField(fields.path, 'is a layer this version does not know');
}
