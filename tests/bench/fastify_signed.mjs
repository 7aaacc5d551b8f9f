// fastify + the same check of the same signature + BullMQ: fastify_signed.mjs PORT REDIS_URL, the key's PEM in PUBLIC_KEY.
import { createPublicKey, verify } from 'node:crypto';
import { createRequire } from 'node:module';
const require = createRequire(process.env.NODE_HOME + '/');
const { Queue } = require('bullmq');
const [port, url] = process.argv.slice(2);
const { hostname: host, port: redisPort } = new URL(url);
const queue = new Queue('bench', { connection: { host, port: +redisPort } });
await queue.waitUntilReady();
const key = createPublicKey(process.env.PUBLIC_KEY);
const app = require('fastify')();
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => done(null, body));
app.post('/hook', async (request, reply) => {
  const signature = Buffer.from(request.headers['x-ghl-signature'] ?? '', 'base64');
  if (!verify(null, request.body, key, signature)) return reply.code(401).send();
  const event = JSON.parse(request.body);
  await queue.add('job', event, { jobId: event.webhookId });
  return reply.code(202).send();
});
await app.listen({ port: +port, host: '127.0.0.1' });
