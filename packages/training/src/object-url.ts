/** Files of a job that lie in S3-compatible object storage: `s3://bucket/key`. */

const FORM = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/(.+)$/;

export interface ObjectUrl {
  readonly bucket: string;
  readonly key: string;
}

/** Is it meant as one? Whether it is a whole one, `objectUrl` says. */
export const isObjectUrl = (path: string): boolean => path.startsWith('s3://');

/** Undefined: not of the form `s3://bucket/key`, or with steps in it that an address loses (`..`). */
export function objectUrl(text: string): ObjectUrl | undefined {
  const [, bucket, key] = FORM.exec(text) ?? [];
  if (bucket === undefined || key === undefined) return undefined;
  if (key.split('/').some((step) => step === '' || step === '.' || step === '..')) return undefined;
  return { bucket, key };
}
