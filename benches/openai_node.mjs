// openai-node's AssistantStream as a contender: the same commands on standard input as `benches/worker.py` takes.
// Each run goes through the client with a `fetch` of its own, whose response body is the chunks: no network.

import fs from 'node:fs';
import readline from 'node:readline';
import OpenAI from 'openai';
import { VERSION } from 'openai/version';

const streams = {}; // whole and cut: the chunks
let current = [];
let mode = 'final';

const client = new OpenAI({
  apiKey: 'none',
  fetch: async () => {
    const chunks = current;
    let place = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (place < chunks.length) controller.enqueue(chunks[place++]);
        else controller.close();
      },
    });
    return new Response(body, { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
  },
});

async function run(which) {
  current = streams[which];
  const stream = client.beta.threads.runs.stream('thread_1', { assistant_id: 'asst_1' });
  if (mode !== 'final') {
    for await (const _ of stream);
  }
  return { steps: await stream.finalRunSteps(), messages: await stream.finalMessages() };
}

function cut(path, size) {
  const data = fs.readFileSync(path);
  const chunks = [];
  for (let start = 0; start < data.length; start += size) {
    chunks.push(new Uint8Array(data.subarray(start, start + size)));
  }
  return chunks;
}

const byId = (objects, read) => Object.fromEntries(objects.map((each) => [each.id, read(each)]));

// Wall clock or CPU time, whichever is less, as for the others. That of Node's helper threads is in the latter.
async function clocked(which) {
  const wall = performance.now();
  const cpu = process.cpuUsage();
  const result = await run(which);
  const { user, system } = process.cpuUsage(cpu);
  return { result, seconds: Math.min((performance.now() - wall) / 1e3, (user + system) / 1e6) };
}

async function check(which) {
  const { seconds, result: { steps, messages } } = await clocked(which);
  const calls = byId(steps, (step) => step.step_details.tool_calls ?? []);
  return { seconds, answer: [calls, byId(messages, (message) => message.content)] };
}

async function time() {
  const { seconds } = await clocked('whole');
  return { seconds };
}

async function memory() {
  const before = process.resourceUsage().maxRSS * 1024;
  await run('whole');
  return { peak: process.resourceUsage().maxRSS * 1024 - before };
}

const commands = {
  load: async (command) => {
    mode = command.mode;
    streams.whole = cut(command.whole, command.chunk);
    streams.cut = cut(command.cut, command.chunk);
    return {};
  },
  check: (command) => check(command.which),
  time,
  memory,
};

console.log(JSON.stringify({ versions: { 'openai (npm)': VERSION, node: process.version } }));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let reply;
  try {
    reply = await commands[command.do](command);
  } catch (error) {
    reply = { error: `${error.name}: ${error.message}`.slice(0, 300) };
  }
  console.log(JSON.stringify(reply));
}
