/**
 * Which coordinator a folder of object storage belongs to: the one with the highest term, `.coordinators/00000007.json`. Whoever
 * starts takes the next; an earlier one finds that out before it names or deletes anything, and leaves the folder alone from then
 * on.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { RopeteamError } from '#training';
import type { Bucket } from './bucket.js';
import { brokenObject } from './object-errors.js';

export interface Term {
  readonly number: number;
  /** Refuses one whose place another has taken. @throws RopeteamError COORD.FENCED, STORAGE.OBJECT */
  check(): Promise<void>;
}

const FOLDER = '.coordinators';
const NAME = /^\.coordinators\/(\d{8,15})\.json$/;
const MOST_TRIES = 8;

/** Takes the next term. @throws RopeteamError STORAGE.OBJECT */
export async function takeTerm(bucket: Bucket): Promise<Term> {
  const id = randomUUID();
  const startedAt = new Date().toISOString();
  const ours = new TextEncoder().encode(`${JSON.stringify({ id, host: hostname(), startedAt })}\n`);
  const isOurs = async (number: number): Promise<boolean> => {
    const found = await bucket.get(nameOf(number));
    return found !== undefined && Buffer.from(found).equals(ours);
  };
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const terms = await listTerms(bucket);
    const number = (terms.at(-1) ?? 0) + 1;
    await bucket.create(nameOf(number), ours);
    if (!(await isOurs(number))) continue; // another was faster
    for (const older of terms) await bucket.remove(nameOf(older));
    return {
      number,
      check: async () => {
        const newest = (await listTerms(bucket)).at(-1) ?? 0;
        if (newest === number && (await isOurs(number))) return;
        const message = `term ${number} may no longer write to ${bucket.url}: another coordinator has term ${newest}`;
        throw new RopeteamError('COORD.FENCED', { held: number, current: newest }, message, {
          hint: 'if both are to run, give each a folder of its own',
        });
      },
    };
  }
  throw brokenObject(bucket.url, 'is taken by other coordinators again and again', 'give each a folder of its own');
}

async function listTerms(bucket: Bucket): Promise<readonly number[]> {
  return (await bucket.list(`${FOLDER}/`))
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

function nameOf(term: number): string {
  return `${FOLDER}/${String(term).padStart(8, '0')}.json`;
}
