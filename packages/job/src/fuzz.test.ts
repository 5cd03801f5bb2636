/** Job files nobody meant to write are read or refused with a place, whatever they hold. As in packages/storage/src/fuzz.test.ts. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RopeteamError } from '#training';
import { formatError } from './format-error.js';
import { parseJob } from './parse-job.js';

const RUNS = Number(process.env.ROPETEAM_TEST_FUZZ_RUNS ?? 150);
const JOB = `apiVersion: ropeteam/v1
name: digits
data: { source: digits.csv, target: digit, split: { validation: 0.1, test: held-out.csv } }
model:
  layers: [{ dense: 64 }, relu, { dropout: 0.5 }]
train:
  epochs: 30
  optimizer: { adam: { learningRate: 0.003 } }
  schedule: { warmup: 50, cosine: { to: 0 } }
checkpoint: { every: 30s, keep: 3 }
`;

const piece = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.constantFrom(
    '&a [*a, *a]',
    '!!js/function',
    '<<: *x',
    '[[[[[[[[',
    '{{{{',
    '---\n',
    '? ',
    '\t',
    '\u0000',
    ['$', '{HOME}'].join(''),
  ),
  fc.constantFrom('__proto__: 1', 'constructor', '.nan', '.inf', '1e400', '0x', "'", '"', '- ', ': ', '|\n', '😀'),
);
const change = fc.record({ at: fc.nat(JOB.length), cut: fc.nat(20), piece });

test(
  'a job file changed at random is a job, or refused by an error that says where',
  () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
        const text = changes.reduce(
          (now, { at, cut, piece: added }) => `${now.slice(0, at)}${added}${now.slice(at + cut)}`,
          JOB,
        );
        try {
          parseJob(text, 'job.yaml');
        } catch (error) {
          if (!(error instanceof RopeteamError)) throw error;
          expect(error.code).toMatch(/^(CONFIG|MODEL|DATA)\./);
          expect(formatError(error).length).toBeGreaterThan(error.code.length);
          refused++;
        }
        expect(Object.hasOwn(Object.prototype, '1')).toBe(false);
      }),
      { numRuns: 4 * RUNS },
    );
    expect(refused).toBeGreaterThan(0);
  },
  60_000 + 100 * RUNS,
);
