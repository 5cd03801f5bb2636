/** `ropeteam schema`: the JSON schema of job.yaml, for editors. */
import { jobJsonSchema } from '#job';
import type { Context } from '../context.js';

export function printSchema({ terminal }: Context): void {
  terminal.result(JSON.stringify(jobJsonSchema(), undefined, 2));
}
