/** `RunPlan` and the model in it as messages of plan.proto, both ways. */
import type { InitSpec, LayerSpec, LossSpec, ModelSpec } from '#kernel';
import type { RunPlan } from '#training';
import { datasetFromMessage, datasetToMessage } from './dataset-message.js';
import { type Fields, invalidField, inverted } from './fields.js';
import { leasesFromMessage, leasesToMessage } from './lease-message.js';
import type { PlainMessage } from './proto-definitions.js';

const losses = {
  LOSS_MEAN_SQUARED_ERROR: 'meanSquaredError',
  LOSS_BINARY_CROSS_ENTROPY: 'binaryCrossEntropy',
  LOSS_SOFTMAX_CROSS_ENTROPY: 'softmaxCrossEntropy',
} as const satisfies Record<string, LossSpec['kind']>;

const inits = {
  INIT_AUTO: 'auto',
  INIT_HE: 'he',
  INIT_GLOROT: 'glorot',
  INIT_ZEROS: 'zeros',
} as const satisfies Record<string, InitSpec>;

export function planToMessage(plan: RunPlan): PlainMessage {
  return {
    runId: plan.run,
    fence: plan.fence,
    kernelId: plan.kernelId,
    model: modelToMessage(plan.model),
    parameterCount: plan.parameterCount,
    seed: plan.seed,
    batch: plan.batch,
    microBatches: plan.microBatches,
    dataset: datasetToMessage(plan.dataset),
    ...(plan.leases === undefined ? {} : { leases: leasesToMessage(plan.leases) }),
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
    batch: fields.positive('batch'),
    microBatches: fields.positive('microBatches'),
    dataset: datasetFromMessage(fields.message('dataset')),
    ...(fields.has('leases') ? { leases: leasesFromMessage(fields.message('leases')) } : {}),
  };
}

function modelToMessage(model: ModelSpec): PlainMessage {
  return {
    inputs: model.inputs,
    outputs: model.outputs,
    layers: model.layers.map(layerToMessage),
    loss: inverted(losses)[model.loss.kind],
    init: inverted(inits)[model.init],
  };
}

function layerToMessage(layer: LayerSpec): PlainMessage {
  switch (layer.kind) {
    case 'dense':
      return { dense: { units: layer.units } };
    case 'relu':
    case 'sigmoid':
    case 'tanh':
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
    loss: { kind: fields.choice('loss', losses) },
    init: fields.choice('init', inits),
  };
}

function layerFromMessage(fields: Fields): LayerSpec {
  if (fields.has('dense')) return { kind: 'dense', units: fields.message('dense').positive('units') };
  for (const kind of ['relu', 'sigmoid', 'tanh'] as const) if (fields.has(kind)) return { kind };
  throw invalidField(fields.path, 'is a layer this version does not know');
}
