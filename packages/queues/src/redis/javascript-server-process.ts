/** Entry of the process that `javascript-server.ts` starts: serves until the channel to its owner closes. */
import { once } from 'node:events';
import { createRedisCommandExecutor, RedisServerState, Resp2Server } from 'js-redis-server/core';
import type { JavascriptServerReady, JavascriptServerStart } from './javascript-server.js';

// However the owner ends, the kernel closes the channel. There is nothing to save.
process.once('disconnect', () => process.exit(0));

const [start] = (await once(process, 'message')) as [JavascriptServerStart]; // sent by our own `fork`
const state = new RedisServerState({ requirepass: start.password });
const { server } = new Resp2Server({ server: state, executor: createRedisCommandExecutor({}) });
// Its own `listen` would open the port on every interface.
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = server.address();
if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
const ready: JavascriptServerReady = { port: address.port };
process.send?.(ready);
