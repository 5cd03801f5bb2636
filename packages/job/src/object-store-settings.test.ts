import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { objectStoreSettings } from './object-store-settings.js';

const ENDPOINT = { AWS_ENDPOINT_URL: 'https://storage.example.org' };
const KEYS = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'hush' };

test('address and region: Amazon’s where only a region is named, and nothing is guessed', () => {
  expect(objectStoreSettings({ AWS_REGION: 'eu-west-1' }, false)).toEqual({
    endpoint: 'https://s3.eu-west-1.amazonaws.com',
    region: 'eu-west-1',
    credentials: undefined,
  });
  expect(objectStoreSettings({ ...ENDPOINT, AWS_ENDPOINT_URL_S3: 'https://other:9000' }, false)).toMatchObject({
    endpoint: 'https://other:9000',
    region: 'us-east-1',
  });
  expect(() => objectStoreSettings({}, false)).toThrow('no object storage is set up');
  for (const wrong of ['storage', 'ftp://storage', 'https://id:hush@storage'])
    expect(() => objectStoreSettings({ AWS_ENDPOINT_URL: wrong }, false)).toThrow(/^AWS_ENDPOINT_URL/);
});

test('plaintext to another machine is refused unless the user insists', () => {
  const plain = { AWS_ENDPOINT_URL: 'http://minio:9000' };
  expect(() => objectStoreSettings(plain, false)).toThrow('nothing keeps others out');
  expect(objectStoreSettings(plain, true).endpoint).toBe('http://minio:9000');
  expect(objectStoreSettings({ AWS_ENDPOINT_URL: 'http://127.0.0.1:9000' }, false).endpoint).toBe(
    'http://127.0.0.1:9000',
  );
});

test('credentials come whole, from the environment or a profile of a file, and half of them are an error', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-credentials-'));
  const file = join(folder, 'credentials');
  writeFileSync(file, '[default]\naws_access_key_id=a\naws_secret_access_key = b\n\n[ two ]\naws_access_key_id = c\n');
  try {
    const credentials = (more: object) => objectStoreSettings({ ...ENDPOINT, ...more }, false).credentials;
    expect(credentials(KEYS)).toEqual({ accessKeyId: 'id', secretAccessKey: 'hush' });
    expect(credentials({ ...KEYS, AWS_SHARED_CREDENTIALS_FILE: file })).toEqual({
      accessKeyId: 'a',
      secretAccessKey: 'b',
    });
    expect(() => credentials({ AWS_ACCESS_KEY_ID: 'id' })).toThrow('has not both');
    expect(() => credentials({ AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'two' })).toThrow('has not both');
    expect(() => credentials({ AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'three' })).toThrow(
      'no profile [three]',
    );
    expect(() => credentials({ AWS_SHARED_CREDENTIALS_FILE: `${file}.not` })).toThrow('cannot be read');
    expect(() => credentials({ ...KEYS, AWS_SESSION_TOKEN: 'x' })).toThrow('temporary credentials');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
