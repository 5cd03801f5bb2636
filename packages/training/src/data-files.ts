/** The files a job names for one split: one, several, or a pattern for their names. */

/** As the job writes them, relative to it: names, and patterns that stand for every file they match. */
export type FileNames = string | readonly string[];

export const listOfFiles = (names: FileNames): readonly string[] => (typeof names === 'string' ? [names] : names);

/** A name with `*` or `?` in it is a pattern. In others, brackets and braces are ordinary characters. */
export const isFilePattern = (name: string): boolean => /[*?]/.test(name);

/** For a sentence: `a.csv`, or `a.csv and 2 more`. */
export function describeFiles(names: FileNames): string {
  const [first = '', ...others] = listOfFiles(names);
  return others.length === 0 ? first : `${first} and ${others.length} more`;
}
