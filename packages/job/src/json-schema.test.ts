import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { jobJsonSchema, jobJsonSchemaText } from './json-schema.js';
import { parseJob } from './parse-job.js';

const root = new URL('../../../../', import.meta.url); // of the checkout, seen from dist/packages/job/src
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const examples = ['digits', 'linear-regression', 'perceptron'];

test('the published schema is the one job files are checked by; if not: node scripts/write-schema.mjs', () => {
  expect(read('schema/job.schema.json')).toBe(jobJsonSchemaText());
});

test('the schema is draft-07, closed, and asks only for what has no default', () => {
  expect(jobJsonSchema()).toMatchObject({
    $schema: 'http://json-schema.org/draft-07/schema#',
    additionalProperties: false,
    required: ['apiVersion', 'name', 'data', 'model'],
  });
});

test.each(examples)('the job of examples/%s is accepted, by the published schema too', (name) => {
  const text = read(`examples/${name}/job.yaml`);
  const published = z.fromJSONSchema(JSON.parse(read('schema/job.schema.json')));
  expect(published.safeParse(parse(text)).success).toBe(true);
  expect(parseJob(text, 'job.yaml').name).toBe(name);
  expect(text.split('\n').length).toBeLessThanOrEqual(21);
  expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=../../schema/job.schema.json');
});

test.each(['relu]', 'epochs:'])('the published schema refuses an example in which %s is misspelt', (what) => {
  const text = read('examples/digits/job.yaml');
  expect(text).toContain(what);
  const published = z.fromJSONSchema(JSON.parse(read('schema/job.schema.json')));
  expect(published.safeParse(parse(text.replace(what, what.replace('e', 'ee')))).success).toBe(false);
});
