/** For tests of what a job file is refused for: a job, and one edit of it a case. Imported by tests only. */
import { RopeteamError } from '#training';
import { parseJob } from './parse-job.js';

export const job = `apiVersion: ropeteam/v1
name: digits
data:
  source: digits.csv
  target: digit
  task: classification
  split: { validation: 0.1, test: held-out.csv }
model:
  layers: [{ dense: 64 }, relu]
  loss: softmaxCrossEntropy
train:
  epochs: 30
  batch: 256
  microBatches: auto
  optimizer: { adam: { learningRate: 0.003 } }
  schedule: { warmup: 50, cosine: { to: 0 } }
  clipNorm: 1.0
  stop: { tolerance: 1.0e-6, patience: 5 }
  seed: 7
checkpoint: { every: 90s, keep: 4 }
`;

/** One edit of the job above; the code, place (line:column+length), words and hint of the one problem it makes. */
export type RefusedEdit = readonly [
  what: string,
  from: string,
  to: string,
  code: string,
  place: string,
  words: RegExp,
  hint: RegExp,
];

/** The error a job file is refused with. */
export function refusal(text: string, overrides: readonly string[] = []): RopeteamError {
  try {
    parseJob(text, 'job.yaml', overrides);
  } catch (error) {
    if (error instanceof RopeteamError) return error;
    throw error;
  }
  throw new Error('the job was accepted');
}

/** The error of one edit, in the form its row of a table has. */
export function refusalOf([, from, to]: RefusedEdit): Readonly<Record<'code' | 'place' | 'message' | 'hint', string>> {
  if (!job.includes(from)) throw new Error(`the job has no ${from}`);
  const { code, message, hint = '', place, problems } = refusal(job.replace(from, () => to));
  if (problems.length > 0) throw new Error(problems.map((problem) => problem.message).join('\n'));
  return { code, message, hint, place: `${place?.line}:${place?.column}+${place?.length ?? ''}` };
}
