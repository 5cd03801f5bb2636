/** `model:` of a job file: hidden layers, loss, first weights. */
import { z } from 'zod';

/** Layers that are known by their name alone. */
const plainLayers = ['relu', 'gelu', 'sigmoid', 'tanh', 'softmax'] as const;

/** Layers with settings. Those of `presetLayers` may stand as a bare name: all their settings have a default. */
export const layers = {
  dense: z
    .int()
    .min(1)
    .max(1_048_576)
    .meta({
      description: 'A fully connected layer with this many units.',
      examples: [64],
    }),
  leakyRelu: z
    .strictObject({
      slope: z.number().min(0).max(1).default(0.01).meta({ description: 'What a negative number is multiplied by.' }),
    })
    .meta({ description: 'A relu that lets a part of negative numbers through.', examples: [{ slope: 0.2 }] }),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .meta({
      description:
        'In training each number is set to 0 with this probability, and what is left is scaled up to make up for it. ' +
        'Nothing is dropped in evaluation.',
      examples: [0.2],
    }),
  layerNorm: z
    .strictObject({
      epsilon: z.number().gt(0).max(1).default(1e-5).meta({ description: 'Added to the variance.' }),
    })
    .meta({
      description: 'Mean 0 and variance 1 within each sample, then a learned weight and bias.',
      examples: [{ epsilon: 1e-6 }],
    }),
};

const presetLayers = ['leakyRelu', 'layerNorm'] as const satisfies readonly (keyof typeof layers)[];
/** Those that may have settings. */
export const layerNames = ['dense', 'leakyRelu', 'dropout', 'layerNorm'] as const;

const layer = z
  .union([
    z.enum([...plainLayers, ...presetLayers]),
    z
      .strictObject({
        dense: layers.dense.optional(),
        leakyRelu: layers.leakyRelu.optional(),
        dropout: layers.dropout.optional(),
        layerNorm: layers.layerNorm.optional(),
      })
      .meta({ minProperties: 1, maxProperties: 1 }),
  ])
  .meta({
    description: 'One hidden layer: a name, or a name with its settings.',
    examples: [{ dense: 64 }, 'relu', { dropout: 0.2 }],
    expected:
      'a layer: { dense: UNITS }, relu, leakyRelu, gelu, sigmoid, tanh, softmax, { dropout: RATE } or layerNorm',
  });

const labelSmoothing = () =>
  z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .meta({ description: 'Share of each target that is spread evenly over all classes.' });

/** Losses with settings. All of them may stand as a bare name. */
export const losses = {
  huber: z
    .strictObject({
      delta: z.number().gt(0).max(1_000_000).default(1).meta({
        description: 'Errors up to this count by their square, larger ones by their size.',
      }),
    })
    .meta({ description: 'Squared error that outliers do not dominate.', examples: [{ delta: 0.5 }] }),
  binaryCrossEntropy: z
    .strictObject({ labelSmoothing: labelSmoothing() })
    .meta({ description: 'Two classes, one output.', examples: [{ labelSmoothing: 0.1 }] }),
  softmaxCrossEntropy: z
    .strictObject({ labelSmoothing: labelSmoothing() })
    .meta({ description: 'Two classes or more, one output a class.', examples: [{ labelSmoothing: 0.1 }] }),
};

/** Those that may have settings. */
export const lossNames = ['huber', 'binaryCrossEntropy', 'softmaxCrossEntropy'] as const;

const loss = z
  .union([
    z.enum(['meanSquaredError', 'huber', 'binaryCrossEntropy', 'softmaxCrossEntropy', 'hinge']),
    z
      .strictObject({
        huber: losses.huber.optional(),
        binaryCrossEntropy: losses.binaryCrossEntropy.optional(),
        softmaxCrossEntropy: losses.softmaxCrossEntropy.optional(),
      })
      .meta({ minProperties: 1, maxProperties: 1 }),
  ])
  .optional()
  .meta({
    description:
      'What training makes small: a name, or a name with its settings. When left out it follows from the data: ' +
      'meanSquaredError for regression, binaryCrossEntropy for two classes, softmaxCrossEntropy for more.',
    examples: ['softmaxCrossEntropy', { huber: { delta: 0.5 } }],
    expected:
      'a loss: meanSquaredError, huber, binaryCrossEntropy, softmaxCrossEntropy or hinge, or one of them with its settings',
  });

export const modelSettings = z
  .strictObject({
    layers: z
      .array(layer)
      .max(256)
      .meta({
        description:
          'Hidden layers in order. The output layer follows from the target and the loss and is not listed. ' +
          '`[]` is a linear model.',
        examples: [[{ dense: 64 }, 'relu'], []],
      }),
    loss,
    init: z
      .enum(['auto', 'he', 'heNormal', 'glorot', 'glorotNormal', 'torch', 'zeros'])
      .default('auto')
      .meta({
        description:
          'First weights, drawn with the seed: `auto` is He before a relu, leakyRelu or gelu and Glorot otherwise, both uniform; ' +
          '`torch` is uniform within 1 / sqrt(inputs), biases too.',
      }),
  })
  .meta({ description: 'What is trained.', examples: [{ layers: [{ dense: 64 }, 'relu'] }] });
