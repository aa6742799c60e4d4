// @azure/ai-agents: read a served recording over TLS, and print it as JSON.
//
// The SDK gives objects in camel case; they are printed so. Its argument are the jobs, see `test_served`; it prints a line for each.

import process from "node:process";
import { createRequire } from "node:module";

const require = createRequire(process.cwd() + "/");
const { AgentsClient } = require("@azure/ai-agents");

async function drain(stream) {
  const events = [];
  for await (const event of stream) events.push([event.event, event.data]);
  return events;
}

// The SDK's iterators end with the first page: the next one is asked for by hand.
async function all(list, options = {}) {
  const found = [];
  for (let after; ; after = found.at(-1).id) {
    const before = found.length;
    for await (const each of list({ ...options, after })) found.push(each);
    if (found.length === before) return found;
  }
}

async function read(job) {
  const credential = { getToken: async () => ({ token: "any", expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const client = new AgentsClient(`${job.url}/api/projects/any`, credential);


  const agent = await client.createAgent("any");
  const thread = await client.threads.create();
  const added = await client.messages.create(thread.id, "user", "Grüezi");

  function* play() {
    for (const [number, asked] of job.asked.entries()) {
      if (number === 0) yield client.runs.create(thread.id, agent.id);
      else {
        const outputs = asked.map((toolCallId) => ({ toolCallId, output: "any" }));
        yield client.runs.submitToolOutputs(thread.id, job.run_id, outputs);
      }
    }
  }

  const result = { events: [], answered: [] };
  for (const answer of play()) result.events.push(await drain(await answer.stream()));
  result.assistant = agent;
  result.assistant_again = await client.getAgent(agent.id);
  result.thread = thread;
  result.thread_again = await client.threads.get(thread.id);
  result.added = added.content[0].text.value;
  result.run = await client.runs.get(thread.id, job.run_id);
  result.runs = await all((options) => client.runs.list(thread.id, options));
  const listSteps = (options) => client.runSteps.list(thread.id, job.run_id, options);
  result.steps = await all(listSteps, { limit: 1, order: "asc" });
  result.steps_newest_first = await all(listSteps, { limit: 2 });
  result.steps_by_id = [];
  for (const step of result.steps) result.steps_by_id.push(await client.runSteps.get(thread.id, job.run_id, step.id));
  result.messages = await all((options) => client.messages.list(thread.id, options), { limit: 1, order: "asc" });
  for (const answer of play()) result.answered.push(await answer);
  try {
    result.cancelled = (await client.runs.cancel(thread.id, job.run_id)).status;
  } catch (error) {
    result.cancelled = error.statusCode;
  }
  try {
    await client.runs.create(thread.id, agent.id);
  } catch (error) {
    result.exhausted = [error.statusCode, error.code];
  }
  result.deleted = [(await client.deleteAgent(agent.id)).deleted, (await client.threads.delete(thread.id)).deleted];
  return result;
}

for (const job of JSON.parse(process.argv[2])) console.log(JSON.stringify(await read(job)));
