/** `train:` of a job file: how long, in which steps, with which optimizer. */
import { z } from 'zod';
import { WATCHED_METRICS } from '#training';
import { localSteps } from './local-settings.js';

const positive = () => z.number().gt(0).max(1_000_000);
const size = () => z.number().min(0).max(1_000_000);
/** Below 1: a moving average with 1 would never take anything in. */
const decay = () => z.number().min(0).lt(1);
const learningRate = (rate: number) =>
  positive().default(rate).meta({ description: 'Size of an update, before the schedule scales it.' });

const epsilon = (value: number) => positive().default(value).meta({ description: 'Keeps the division finite.' });
const weightDecay = () =>
  size().default(0.01).meta({
    description:
      'Share of a weight that is taken off in a step, times the learning rate. Weight matrices only, never biases.',
  });
const adamSettings = (smallest: number) => ({
  learningRate: learningRate(0.001),
  beta1: decay().default(0.9).meta({ description: 'Decay of the mean of gradients.' }),
  beta2: decay().default(0.999).meta({ description: 'Decay of the mean of squared gradients.' }),
  epsilon: epsilon(smallest),
});

/** Optimizers by name; a bare name means all its defaults. */
export const optimizers = {
  sgd: z.strictObject({ learningRate: learningRate(0.01) }).meta({
    description: 'Plain gradient descent.',
    examples: [{ learningRate: 0.01 }],
  }),
  momentum: z
    .strictObject({
      learningRate: learningRate(0.01),
      momentum: decay().default(0.9).meta({ description: 'Share of the previous update that is kept.' }),
      nesterov: z.boolean().default(false).meta({ description: "Look ahead by the kept share (Nesterov's form)." }),
    })
    .meta({ description: 'Gradient descent with momentum.', examples: [{ learningRate: 0.01, momentum: 0.9 }] }),
  adagrad: z
    .strictObject({ learningRate: learningRate(0.01), epsilon: epsilon(1e-10) })
    .meta({ description: 'Steps that shrink with the sum of squared gradients.', examples: [{ learningRate: 0.01 }] }),
  rmsprop: z
    .strictObject({
      learningRate: learningRate(0.01),
      decay: decay().default(0.99).meta({ description: 'Share of the mean of squared gradients that is kept.' }),
      epsilon: epsilon(1e-8),
      momentum: decay().default(0).meta({ description: 'Share of the previous update that is kept.' }),
    })
    .meta({ description: 'Steps divided by the size of recent gradients.', examples: [{ learningRate: 0.01 }] }),
  adam: z
    .strictObject(adamSettings(1e-8))
    .meta({ description: 'Adam with bias correction.', examples: [{ learningRate: 0.003 }] }),
  adamw: z
    .strictObject({ ...adamSettings(1e-8), weightDecay: weightDecay() })
    .meta({ description: 'Adam with decoupled weight decay.', examples: [{ weightDecay: 0.05 }] }),
  lamb: z.strictObject({ ...adamSettings(1e-6), weightDecay: weightDecay() }).meta({
    description: "Adam's direction, each parameter by a rate in proportion to its weights: for large batches.",
    examples: [{ learningRate: 0.002 }],
  }),
};

export const optimizerNames = [
  'sgd',
  'momentum',
  'adagrad',
  'rmsprop',
  'adam',
  'adamw',
  'lamb',
] as const satisfies readonly (keyof typeof optimizers)[];

const optimizer = z
  .union([
    z.enum(optimizerNames),
    z
      .strictObject({
        sgd: optimizers.sgd.optional(),
        momentum: optimizers.momentum.optional(),
        adagrad: optimizers.adagrad.optional(),
        rmsprop: optimizers.rmsprop.optional(),
        adam: optimizers.adam.optional(),
        adamw: optimizers.adamw.optional(),
        lamb: optimizers.lamb.optional(),
      })
      .meta({ minProperties: 1, maxProperties: 1 }),
  ])
  .default('adam')
  .meta({
    description: 'How a mean gradient becomes an update: a name, or a name with its settings.',
    examples: [{ adam: { learningRate: 0.003 } }, 'sgd'],
    expected: `an optimizer: ${optimizerNames.slice(0, -1).join(', ')} or ${optimizerNames.at(-1)}, or one of them with its settings`,
  });

const share = () => z.number().min(0).max(1);
const endShare = (kind: string) =>
  z
    .strictObject({
      to: share().default(0).meta({ description: 'Share of the learning rate that is left at the last step.' }),
    })
    .meta({
      description: `From the full learning rate to \`to\` of it at the last step, ${kind}.`,
      examples: [{ to: 0 }],
    });

/** Schedules by name. Those of `plainSchedules` may stand as a bare name: all their settings have a default. */
export const schedules = {
  constant: z.strictObject({}).meta({ description: 'The same learning rate at every step.', examples: [{}] }),
  step: z
    .strictObject({
      every: z
        .int()
        .min(1)
        .max(1_000_000_000)
        .meta({ description: 'Steps between two cuts.', examples: [1000] }),
      factor: share()
        .gt(0)
        .meta({ description: 'The learning rate is multiplied by this at each cut.', examples: [0.5] }),
    })
    .meta({ description: 'Cut the learning rate at regular steps.', examples: [{ every: 1000, factor: 0.5 }] }),
  linear: endShare('in a straight line'),
  exponential: z
    .strictObject({
      factor: share()
        .gt(0)
        .meta({ description: 'The learning rate is multiplied by this at each step.', examples: [0.999] }),
    })
    .meta({ description: 'A constant factor a step.', examples: [{ factor: 0.999 }] }),
  cosine: endShare('along half a cosine'),
};

const plainSchedules = ['constant', 'linear', 'cosine'] as const satisfies readonly (keyof typeof schedules)[];
export const scheduleKinds = ['constant', 'step', 'linear', 'exponential', 'cosine'] as const;

const schedule = z
  .union([
    z.enum(plainSchedules),
    z.strictObject({
      warmup: z.int().min(0).max(1_000_000_000).default(0).meta({
        description: 'Steps in which the learning rate rises linearly from 0, before the rest of the schedule.',
      }),
      constant: schedules.constant.optional(),
      step: schedules.step.optional(),
      linear: schedules.linear.optional(),
      exponential: schedules.exponential.optional(),
      cosine: schedules.cosine.optional(),
    }),
  ])
  .default('constant')
  .meta({
    description: 'How the learning rate changes from step to step.',
    examples: ['cosine', { warmup: 50, cosine: { to: 0 } }],
    expected: 'a schedule: constant, linear or cosine, or a map such as { warmup: 50, cosine: { to: 0 } }',
  });

const powersOfTwo = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096] as const;

const stop = z
  .strictObject({
    tolerance: z
      .number()
      .min(0)
      .max(1_000_000)
      .optional()
      .meta({
        description:
          'Converged: the run ends when the mean training loss of an epoch fell by less than this, compared with the best ' +
          'so far, for `patience` epochs in a row (5 when patience is left out).',
        examples: [1e-6],
      }),
    patience: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .meta({
        description:
          'The run ends after this many epochs in a row without a new best `metric`: by default the validation loss (training ' +
          'loss where nothing is kept back for validation).',
        examples: [5],
      }),
  })
  .prefault({})
  .meta({
    description: 'Rules that end the run before its last epoch. None when left out.',
    examples: [{ tolerance: 1e-6, patience: 5 }],
  });

export const defaultEpochs = 10;
/** Keras's and scikit-learn's neighbourhood (32 and 200): small enough for a hundred rows to give several steps an epoch. */
export const defaultBatch = 32;

export const trainSettings = z
  .strictObject({
    epochs: z
      .int()
      .min(1)
      .max(1_000_000)
      .optional()
      .meta({
        description: `Passes over the training split at the most. ${defaultEpochs} when neither epochs nor steps is given.`,
        examples: [defaultEpochs],
      }),
    steps: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .optional()
      .meta({
        description: 'Optimizer updates at the most, instead of `epochs`.',
        examples: [1000],
      }),
    batch: z.int().min(1).max(1_048_576).default(defaultBatch).meta({
      description: 'Global batch: samples averaged into one step, whatever the number of workers.',
    }),
    microBatches: z
      .union([z.literal('auto'), z.literal(powersOfTwo)])
      .default('auto')
      .meta({
        description:
          'Equal cuts of a global batch, a power of two: the most workers one step can use. Part of the result: another ' +
          'number gives other last bits. `auto` follows from the batch and the number of parameters alone.',
        examples: ['auto', 16],
        expected: 'auto or a power of two from 1 to 4096',
      }),
    wire: z
      .enum(['float32', 'bfloat16', 'int8'])
      .default('float32')
      .meta({
        description:
          'What gradients are rounded to before they are summed and sent. With bfloat16 and int8 workers compute on weights in ' +
          'bfloat16. Part of the result: the same for any number of workers, another for another format.',
        examples: ['float32', 'bfloat16'],
      }),
    localSteps: localSteps.optional(),
    optimizer,
    schedule,
    clipNorm: positive()
      .optional()
      .meta({
        description: 'Largest norm of a mean gradient; a longer one is scaled down to it. No limit when left out.',
        examples: [1],
      }),
    classWeights: z
      .union([z.literal('balanced'), z.record(z.string().min(1).max(1024), z.number().min(0).max(1e9))])
      .optional()
      .meta({
        description:
          'What the loss of a sample is multiplied by: `balanced` is rows / (classes · rows of its class), over the training ' +
          'split, so 1 in the mean; or a weight by label, 1 for those not named. Part of the loss that is reported.',
        examples: ['balanced', { yes: 5 }],
        expected: 'balanced or a mapping of labels to weights from 0',
      }),
    l2: size()
      .optional()
      .meta({
        description:
          'Pull of weights towards zero: this times a weight is added to its mean gradient, after clipping. Weight matrices ' +
          'only, never biases; not part of the reported loss. For adamw and lamb give their own `weightDecay`. None when ' +
          'left out.',
        examples: [0.0001],
      }),
    stop,
    metric: z
      .enum(WATCHED_METRICS)
      .default('loss')
      .meta({
        description:
          'What `stop.patience` and `keep: best` go by, measured on the validation split after each epoch (on the training ' +
          'split where nothing is kept back for validation).',
        examples: ['loss', 'accuracy', 'rocAuc'],
      }),
    keep: z
      .enum(['last', 'best'])
      .default('last')
      .meta({
        description:
          'Whose weights become the model: those of the `last` step, or of the epoch with the `best` metric. The checkpoints ' +
          'go on from the last step either way.',
        examples: ['best'],
      }),
    onNonFinite: z
      .enum(['stop', 'rollback', 'skip'])
      .default('stop')
      .meta({
        description:
          'When the mean gradient or loss of a step is NaN or an infinity, after other workers found the same: `stop` ends the ' +
          'run, `skip` leaves the update of that step out, `rollback` goes back to the last step of `checkpoint.everySteps` ' +
          'with half the learning rate, twice at the most. Such numbers never reach the weights.',
      }),
    verify: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .meta({
        description:
          'Share of blocks that a second worker computes too, drawn from the seed; of leases, that share of leases. Where two ' +
          'workers differ a third decides, and the one that is wrong is named and shut out. Changes no bit of the result.',
        examples: [0.05],
      }),
    shuffle: z
      .union([
        z.boolean(),
        z.strictObject({
          window: z
            .int()
            .min(128)
            .max(1_000_000_000)
            .meta({
              description:
                'Samples that are mixed at a time, from 64 places of the training split. Each worker holds two such windows. At least ' +
                'two batches.',
              examples: [100_000],
            }),
          mix: z
            .literal(false)
            .optional()
            .meta({
              description:
                'Takes the samples as they stand in the file and only holds so many at a time. Changes no bit beside `shuffle: false`; ' +
                'a set that takes more than 256 MiB is held whole with a window as large as the training split.',
              examples: [false],
            }),
        }),
      ])
      .default(true)
      .meta({
        description:
          'Draw the order of samples anew for every epoch; `false` takes them as they stand in the file. `true` mixes the whole ' +
          'training split if its rows take up to 256 MiB, and windows of 64 MiB beyond that.',
        examples: [true, { window: 100_000 }],
      }),
    seed: z.int().min(0).max(4_294_967_295).default(7).meta({
      description:
        'Decides first weights, splits and the order of samples. Same job, data and seed: same weights, bit for bit.',
    }),
  })
  .prefault({})
  .meta({ description: 'How long, in which steps, with which optimizer.', examples: [{ epochs: 30, batch: 256 }] });
