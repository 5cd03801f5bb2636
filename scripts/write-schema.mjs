// Writes schema/job.schema.json from the job file's schema: `node scripts/build.mjs && node scripts/write-schema.mjs`.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { jobJsonSchemaText } from '#job';

const file = fileURLToPath(new URL('../schema/job.schema.json', import.meta.url));
writeFileSync(file, jobJsonSchemaText());
