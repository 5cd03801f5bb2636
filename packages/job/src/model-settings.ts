/** `model:` of a job file: hidden layers, loss, first weights. */
import { z } from 'zod';

const activations = ['relu', 'sigmoid', 'tanh'] as const;

const layer = z
  .union([
    z.enum(activations),
    z.strictObject({
      dense: z
        .int()
        .min(1)
        .max(1_048_576)
        .meta({
          description: 'A fully connected layer with this many units.',
          examples: [64],
        }),
    }),
  ])
  .meta({
    description: 'One hidden layer: `{ dense: UNITS }`, `relu`, `sigmoid` or `tanh`.',
    examples: [{ dense: 64 }, 'relu'],
    expected: 'a layer: { dense: UNITS }, relu, sigmoid or tanh',
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
    loss: z
      .enum(['meanSquaredError', 'binaryCrossEntropy', 'softmaxCrossEntropy'])
      .optional()
      .meta({
        description:
          'What training makes small. When left out it follows from the data: meanSquaredError for regression, ' +
          'binaryCrossEntropy for two classes, softmaxCrossEntropy for more.',
        examples: ['softmaxCrossEntropy'],
      }),
    init: z.enum(['auto', 'he', 'glorot', 'zeros']).default('auto').meta({
      description: 'First weights, drawn with the seed: `auto` is He before a relu and Glorot otherwise.',
    }),
  })
  .meta({ description: 'What is trained.', examples: [{ layers: [{ dense: 64 }, 'relu'] }] });
