/** The published JSON schema of job files, for editors and for other people's tools. */
import { z } from 'zod';
import { jobFile } from './job-file.js';

/** JSON schema (draft-07) of job.yaml as it may be written: defaults optional, every key with a description. */
export function jobJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(jobFile, {
    target: 'draft-7',
    io: 'input',
    // `expected` words our own error messages and is no keyword of JSON schema
    override: ({ jsonSchema }) => {
      delete jsonSchema.expected;
    },
  });
}

/** The text of `schema/job.schema.json`. */
export function jobJsonSchemaText(): string {
  return `${JSON.stringify(jobJsonSchema(), null, 2)}\n`;
}
