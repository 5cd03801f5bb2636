/** `data:` of a job file: where the samples come from and how columns become numbers. */
import { z } from 'zod';
import { DATA_FORMATS } from '#training';

/** Written without \p{Cc}, which validators that compile patterns without the `u` flag would read as letters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it keeps out
const withoutControls = /^[^\u0000-\u001f\u007f-\u009f]+$/;

/** Paths and column names end up in terminals and logs. */
const plainText = (most: number) => z.string().min(1).max(most).regex(withoutControls);

const path = () => plainText(4096);
const column = () => plainText(1024);
const expectedPath = 'a file path';
const expectedFiles = 'a file path, a pattern such as parts/*.csv, or a list of them';
/** Names and patterns of files that are read as one. */
const files = () => z.union([path(), z.array(path()).min(1).max(1000)]);

/** An array without names and that of its labels. */
const ownArrays = z.strictObject({
  source: path().meta({ description: 'The file of the samples.', examples: ['t10k-images-idx3-ubyte.gz'] }),
  labels: path().meta({ description: 'The file of their labels.', examples: ['t10k-labels-idx1-ubyte.gz'] }),
});

const splitSource = (share: number, what: string, file: string) =>
  z
    .union([z.number().min(0).lt(1), path(), z.array(path()).min(1).max(1000), ownArrays])
    .default(share)
    .meta({
      description: `${what}: a fraction of \`source\`, drawn with the job's seed, or files of its own, named as in \`source\` (with a file of labels: { source, labels }). 0: none.`,
      examples: [share, 0, file],
      expected: 'a fraction of the data (at least 0, less than 1) or a file path',
    });

/** Shares of `source` set aside when the job file says nothing. */
export const defaultSplit = { validation: 0.1, test: 0.1 } as const;

const split = z
  .strictObject({
    validation: splitSource(
      defaultSplit.validation,
      'Samples the loss is watched on after each epoch, never trained on',
      'validation.csv',
    ),
    test: splitSource(
      defaultSplit.test,
      'Samples the finished model is judged by once, never trained on',
      'held-out.csv',
    ),
  })
  .prefault({})
  .meta({
    description: 'What is kept back from training.',
    examples: [{ validation: 0.1, test: 0.1 }, { test: 'held-out.csv' }],
  });

const columnSettings = z.strictObject({
  kind: z.literal('category').meta({ description: 'The column holds words, whatever they look like.' }),
  buckets: z
    .int()
    .min(2)
    .max(65_536)
    .optional()
    .meta({ description: 'Inputs its words are hashed into. Left out: one input a word.', examples: [1024] }),
});

export const dataSettings = z
  .strictObject({
    source: files().meta({
      description:
        'The file with the training data: CSV or TSV with a header line, JSON Lines, Parquet, NPY, NPZ (an array of it: FILE.npz#NAME) or IDX; plain or (all but Parquet and NPZ) gzipped. Relative to the job file. ' +
        'Or several with the same columns, read in the order of their names: a list, or a pattern with `*` or `?`.',
      examples: ['digits.csv', 'parts/*.parquet', ['2023.csv', '2024.csv']],
      expected: expectedFiles,
    }),
    labels: path()
      .optional()
      .meta({
        description: 'The file with the labels, where `source` is one array without names (npy, npz, idx).',
        examples: ['train-labels-idx1-ubyte.gz'],
        expected: expectedPath,
      }),
    format: z
      .enum(DATA_FORMATS)
      .optional()
      .meta({ description: 'Format of the data files; told from the extension when left out.', examples: ['csv'] }),
    delimiter: z
      .string()
      .regex(/^(auto|whitespace|[\t ,;:|/~^&#*!%$@=_])$/)
      .default('auto')
      .meta({
        description:
          'What separates fields: one character, `whitespace` for any run of blanks, or `auto` to tell it from the first lines.',
        examples: ['auto', ',', ';', '\t', 'whitespace'],
        expected: 'auto, whitespace or one separating character such as "," ";" "|" or "\\t"',
      }),
    target: z.union([column(), z.array(column()).min(1).max(1024)]).meta({
      description:
        'The column to predict, or a list of columns for several outputs (regression). With `labels`: what to call them.',
      examples: ['digit', ['width', 'height']],
      expected: 'a column name or a list of column names',
    }),
    features: z
      .union([z.literal('all'), z.array(column()).min(1).max(100_000)])
      .default('all')
      .meta({
        description:
          'The columns to learn from: names and globs such as `p*`, or `all` columns that are not targets. ' +
          'Columns of words become one-hot categories.',
        examples: ['all', ['age', 'pixel*']],
        expected: 'all or a list of column names and globs',
      }),
    task: z
      .enum(['classification', 'regression'])
      .optional()
      .meta({
        description: 'What is learned; told from the target column when left out.',
        examples: ['classification'],
      }),
    scale: z
      .enum(['standard', 'minmax', 'none'])
      .default('standard')
      .meta({
        description:
          'How number columns are scaled: `standard` to mean 0 and deviation 1, `minmax` to 0..1, `none` as they are. ' +
          'Fitted on the training split, kept with the model.',
      }),
    scaleTarget: z
      .enum(['standard', 'minmax', 'none'])
      .default('none')
      .meta({
        description:
          'How the targets of a regression are scaled for training, as with `scale`. Predictions and errors are in the units ' +
          'of the data all the same; the loss is in those of training.',
        examples: ['standard'],
      }),
    split,
    badRows: z.enum(['error', 'skip']).default('error').meta({
      description: 'A row that cannot be read stops the run (`error`) or is counted, listed and left out (`skip`).',
    }),
    maxBadRows: z
      .int()
      .min(0)
      .max(1_000_000_000)
      .default(100)
      .meta({ description: 'With `badRows: skip`: more bad rows than this stop the run all the same.' }),
    missing: z.enum(['error', 'mean', 'zero', 'drop']).default('error').meta({
      description:
        'An empty number cell is an `error`, becomes the `mean` of the training split or `zero`, or the row is left out (`drop`).',
    }),
    maxCategories: z.int().min(2).max(65_536).default(64).meta({
      description: 'Different words a column of words may hold; each becomes one input of the model.',
    }),
    columns: z
      .record(column(), columnSettings)
      .optional()
      .meta({
        description:
          'What single columns hold, by name, where their cells do not say it: `{ kind: category }` takes numbers for words; ' +
          'with `buckets`, words are hashed into so many inputs, however many different ones there are.',
        examples: [{ tailNumber: { kind: 'category', buckets: 1024 } }],
        expected: 'a group of settings by column name',
      }),
  })
  .meta({
    description: 'Where the samples come from and how columns become numbers.',
    examples: [{ source: 'digits.csv', target: 'digit' }],
  });
