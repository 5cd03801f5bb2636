/**
 * The shape of a job file. This is the one place that says which settings there are, what they may hold and what they
 * are when left out; the JSON schema, the suggestions and the error texts are read off it.
 */
import { z } from 'zod';
import { dataSettings } from './data-settings.js';
import { durationPattern, parseDuration } from './duration.js';
import { layerNames, lossNames, modelSettings } from './model-settings.js';
import type { PathStep } from './source-tree.js';
import { optimizerNames, scheduleKinds, trainSettings } from './train-settings.js';

export const apiVersion = 'ropeteam/v1';

const longestPauseMs = 7 * 24 * 3_600_000;

const checkpoint = z
  .strictObject({
    every: z
      .string()
      .regex(durationPattern)
      .refine((text) => {
        const milliseconds = parseDuration(text);
        return milliseconds !== undefined && milliseconds >= 1 && milliseconds <= longestPauseMs;
      })
      .default('30s')
      .meta({
        description: 'Time between two checkpoints: a number and ms, s, m or h.',
        examples: ['30s', '5m'],
        expected: 'a duration from 1ms to 168h, such as 30s, 5m or 2h',
      }),
    keep: z.int().min(1).max(1000).default(3).meta({ description: 'How many of the newest checkpoints stay on disk.' }),
    everySteps: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .optional()
      .meta({
        description: 'Besides, a checkpoint after every so many steps. `keep` never deletes these. None when left out.',
        examples: [500],
      }),
  })
  .prefault({})
  .meta({ description: 'What a crash can cost.', examples: [{ every: '30s', keep: 3 }] });

export const jobFile = z
  .strictObject({
    apiVersion: z.literal(apiVersion).meta({
      description: 'Version of this file format.',
      examples: [apiVersion],
    }),
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,39}$/)
      .meta({
        description: 'Names the job; ids of its runs begin with it.',
        examples: ['digits'],
        expected: 'a name of 1 to 40 characters from a-z, 0-9 and "-", not starting with "-"',
      }),
    data: dataSettings,
    model: modelSettings,
    train: trainSettings,
    checkpoint,
  })
  .meta({ title: 'Ropeteam job', description: 'A training job: job.yaml.' });

/** A job file as it may be written. */
export type JobFileInput = z.input<typeof jobFile>;
/** A job file with its defaults filled in, still in the file's own form. */
export type JobFile = z.output<typeof jobFile>;

/** Settings of one group that exclude each other. */
export interface ExclusiveSettings {
  readonly parent: readonly PathStep[];
  readonly keys: readonly string[];
  /** Given where one of them is needed: what it is. */
  readonly needed?: string;
}

/** `--set` of one takes the place of another. */
export const exclusiveSettings: readonly ExclusiveSettings[] = [
  { parent: ['model', 'loss'], keys: lossNames, needed: 'loss' },
  { parent: ['train'], keys: ['epochs', 'steps'] },
  { parent: ['train', 'optimizer'], keys: optimizerNames, needed: 'optimizer' },
  { parent: ['train', 'schedule'], keys: scheduleKinds },
];

/** The same for each layer of a job that lists so many. */
export function exclusiveInLayers(numLayers: number): readonly ExclusiveSettings[] {
  return Array.from({ length: numLayers }, (_, index) => ({
    parent: ['model', 'layers', index],
    keys: layerNames,
    needed: 'layer',
  }));
}
