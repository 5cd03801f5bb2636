/** "Did you mean": the known word nearest to one that is not known. */
import { distance } from 'fastest-levenshtein';

/** The candidate a slip of the keyboard away from `word`; undefined when none is near. Case, `_` and `-` do not count. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = fold(word);
  let best: { readonly candidate: string; readonly away: number } | undefined;
  for (const candidate of candidates) {
    const away = slips(wanted, fold(candidate));
    if (away <= allowance(candidate) && (best === undefined || away < best.away)) best = { candidate, away };
  }
  return best?.candidate;
}

/** One slip in a short word, up to a third of a long one: beyond that a suggestion misleads more than it helps. */
const allowance = (candidate: string): number => Math.max(1, Math.floor(candidate.length / 3));

const fold = (word: string): string => word.toLowerCase().replaceAll(/[_\s-]/g, '');

/** Edits between two words, where two neighbouring letters exchanged are one edit. */
function slips(a: string, b: string): number {
  return isExchange(a, b) ? 1 : distance(a, b);
}

function isExchange(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  const at = [...a].findIndex((letter, index) => letter !== b[index]);
  return at !== -1 && a[at] === b[at + 1] && a[at + 1] === b[at] && a.slice(at + 2) === b.slice(at + 2);
}
