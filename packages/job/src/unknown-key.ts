/** What to say about a key that is not in the schema: a slip, a key of another group, a word from elsewhere. */
import { allKeys, dotted, keysAt, oneOf, parentsOf, settingsOf, shapeAt, wordsOf } from './schema-shape.js';
import type { PathStep } from './source-tree.js';
import { nearest } from './suggest.js';

/** Names other tools give to settings of ours, without case and `_`. */
const otherNames: ReadonlyMap<string, string> = new Map([
  ['lr', 'learningRate'],
  ['eta', 'learningRate'],
  ['batchsize', 'batch'],
  ['globalbatch', 'batch'],
  ['globalbatchsize', 'batch'],
  ['minibatch', 'batch'],
  ['numepochs', 'epochs'],
  ['nepochs', 'epochs'],
  ['maxepochs', 'epochs'],
  ['maxsteps', 'steps'],
  ['iterations', 'steps'],
  ['optim', 'optimizer'],
  ['scheduler', 'schedule'],
  ['gradientclip', 'clipNorm'],
  ['maxgradnorm', 'clipNorm'],
  ['alpha', 'decay'],
  ['rho', 'decay'],
  ['l2regularization', 'l2'],
  ['regularization', 'l2'],
  ['earlystopping', 'stop'],
  ['tol', 'tolerance'],
  ['randomseed', 'seed'],
  ['randomstate', 'seed'],
  ['path', 'source'],
  ['file', 'source'],
  ['label', 'target'],
  ['labels', 'target'],
  ['sep', 'delimiter'],
  ['separator', 'delimiter'],
  ['hiddenlayers', 'layers'],
  ['units', 'dense'],
  ['eps', 'epsilon'],
  ['version', 'apiVersion'],
]);

/** Settings of a command, not of a job: the result must not depend on them. */
const ofTheCommand: ReadonlyMap<string, string> = new Map([
  ['workers', '--workers'],
  ['threads', '--threads'],
  ['kernel', '--kernel'],
  ['out', '--out'],
  ['redis', '--redis-url'],
  ['redisurl', '--redis-url'],
  ['grain', '--grain'],
]);

/**
 * The hint for an unknown key: where it belongs, which key it was meant to be, or which keys there are.
 * @param parent path of the map the key stands in
 * @param isThere whether the job file has a map at a path, to choose between several homes of a key
 */
export function unknownKeyHint(
  key: string,
  parent: readonly PathStep[],
  isThere: (path: readonly PathStep[]) => boolean,
): string {
  const word = bare(key);
  const option = ofTheCommand.get(word);
  if (option !== undefined) return `give ${option} on the command line: it is no part of the job`;

  const here = keysAt(parent);
  const meant = otherNames.get(word) ?? key;
  if (here.includes(meant)) return didYouMean(meant);
  const shape = shapeAt(parent);
  if (shape !== undefined && wordsOf(shape).includes(key)) return `write ${key} by itself: it takes no settings`;
  const home = homeOf(meant, isThere);
  if (home !== undefined) {
    return meant === key
      ? `${quoted(key)} belongs under ${home}${shortList(parent, here)}`
      : `${didYouMean(meant)} It belongs under ${home}`;
  }
  const near = nearest(key, here);
  if (near !== undefined) return `${didYouMean(near)}${shortList(parent, here)}`;
  const far = nearest(key, allKeys());
  const farHome = far === undefined ? undefined : homeOf(far, isThere);
  if (far !== undefined && farHome !== undefined) return `${didYouMean(far)} It belongs under ${farHome}`;
  return here.length === 0 ? 'remove it: nothing can be set here' : `remove it; ${settingsOf(parent)}`;
}

/** The keys of a group small enough to be read through. */
const shortList = (parent: readonly PathStep[], keys: readonly string[]): string =>
  keys.length > 0 && keys.length <= 6 ? ` (${settingsOf(parent)})` : '';

/** Where a key belongs, in words: the groups that are in the job file if any is, else all of them. */
function homeOf(key: string, isThere: (path: readonly PathStep[]) => boolean): string | undefined {
  const parents = parentsOf(key);
  const present = parents.filter(isThere);
  const homes = (present.length > 0 ? present : parents).map((path) =>
    path.length === 0 ? 'no group: move it to the left edge' : `${dotted(path)}:`,
  );
  return homes.length === 0 ? undefined : oneOf(homes);
}

/** Whether an unknown key was probably meant to be this one. */
export function standsFor(unknown: string, key: string): boolean {
  return otherNames.get(bare(unknown)) === key || nearest(unknown, [key]) === key;
}

const bare = (key: string): string => key.toLowerCase().replaceAll(/[_-]/g, '');
const quoted = (text: string): string => JSON.stringify(text);
const didYouMean = (key: string): string => `did you mean ${quoted(key)}?`;
