/** Flags and environment of the services, checked one by one before anything is opened. All throw USAGE.ARGUMENT. */
import { RopeteamError } from '#training';

/** A whole number `least..most`. */
export function wholeNumber(argument: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw refused(argument, `${argument} is ${JSON.stringify(text)}; it must be a whole number ${least}..${most}`);
}

/** One of a few words. */
export function oneOf<Word extends string>(argument: string, text: string, words: readonly Word[]): Word {
  const word = words.find((candidate) => candidate === text);
  if (word !== undefined) return word;
  throw refused(argument, `${argument} is ${JSON.stringify(text)}; it must be one of ${words.join(', ')}`);
}

/** The Redis both services meet at. It may hold a password, so it comes from the environment and is never logged. */
export function redisUrlFrom(environment: Readonly<Record<string, string | undefined>>): string {
  const url = environment.ROPETEAM_REDIS_URL;
  if (url !== undefined && url !== '') return url;
  throw refused('ROPETEAM_REDIS_URL', 'ROPETEAM_REDIS_URL is not set', {
    hint: 'set it to the Redis that coordinator and workers share, for example redis://:password@host:6379',
  });
}

function refused(argument: string, message: string, details: { readonly hint?: string } = {}): RopeteamError {
  return new RopeteamError('USAGE.ARGUMENT', { argument }, message, details);
}
