/** The inputs of a hashed column. */
import { hashWord } from '#training';

/** Not the job's: models of jobs with different seeds take the same words to the same inputs. Every model says it. */
export const HASH_SEED = 0;

/** The input of a word in a hashed column. */
export function bucketOf(word: string, buckets: number, seed = HASH_SEED): number {
  return hashWord(word, seed) % buckets;
}
