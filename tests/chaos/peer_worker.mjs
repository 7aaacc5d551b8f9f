// The kill test's job behind BullMQ: peer_worker.mjs bullmq enqueue|work REDIS_URL BOOK JOBS, with NODE_HOME set.
import { createRequire } from 'node:module';
import { openSync, writeSync } from 'node:fs';

const { Queue, Worker } = createRequire(process.env.NODE_HOME + '/')('bullmq');
const [, role, url, path, jobs] = process.argv.slice(2);
const { hostname: host, port } = new URL(url);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const book = openSync(path, 'a');
const note = (what, number) => writeSync(book, `${what} ${number} ${process.pid}\n`);
const nap = ms => new Promise(resolve => setTimeout(resolve, ms));

if (role === 'enqueue') {
  const queue = new Queue('chaos', { connection });
  for (let number = 0; number < Number(jobs); number++) await queue.add('job', { number });
  await queue.close();
} else {
  new Worker('chaos', async job => {
    note('paid', job.data.number);
    await nap(50);
    note('written', job.data.number);
    await nap(50);
    note('ended', job.data.number);
  }, { connection, concurrency: 5, lockDuration: 5000, stalledInterval: 2000 });
}
