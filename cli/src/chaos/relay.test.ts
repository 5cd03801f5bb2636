import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openRelay, type Relay } from './relay.js';

let relay: Relay;
let address = '';
const server = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.pipe(socket);
});

beforeEach(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  relay = await openRelay();
  address = relay.to(`127.0.0.1:${typeof bound === 'object' ? bound?.port : ''}`);
});
afterEach(async () => {
  await relay[Symbol.asyncDispose]();
  server.close();
  await once(server, 'close');
});

async function echo(): Promise<Socket> {
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1');
  socket.write('hello');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  expect(answer.toString()).toBe('hello');
  return socket;
}

test('what is sent arrives at the other end and comes back', async () => {
  const socket = await echo();
  socket.destroy();
});

test('a cut breaks all there is, and lets the next one through', async () => {
  const sockets = [await echo(), await echo()];
  const closed = Promise.all(sockets.map((socket) => once(socket, 'close')));
  expect(relay.cut()).toBe(2);
  await closed;
  const again = await echo();
  expect(relay.cut()).toBe(1);
  await once(again, 'close');
  expect(relay.cut()).toBe(0);
});
