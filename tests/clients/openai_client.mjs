// openai-node: read a served recording with every call that the server answers, and print it as JSON.
//
// It runs in a folder with one version of the SDK. Its argument are the jobs, see `test_served`; it prints a line for each.

import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(process.cwd() + "/");
const { OpenAI, AzureOpenAI } = require("openai");

async function drain(stream) {
  const events = [];
  try {
    for await (const event of stream) events.push([event.event, event.data]);
  } catch (error) {
    // Without an error of the server, the SDK could not read an event that is cut off.
    if (error.error) events.push(["error", { error: error.error }]);
  }
  return events;
}

async function all(pages) {
  const found = [];
  for await (const each of pages) found.push(each);
  return found;
}

async function read(job) {
  const include = ["step_details.tool_calls[*].file_search.results[*].content"];
  const client = job.azure
    ? new AzureOpenAI({ endpoint: job.url, apiVersion: "2024-05-01-preview", apiKey: "any" })
    : new OpenAI({ baseURL: `${job.url}/v1`, apiKey: "any" });
  const { assistants, threads } = client.beta;


  const assistant = await assistants.create({ model: "any" });
  const thread = await threads.create({ messages: [{ role: "user", content: "any" }] });
  const thread_id = thread.id;
  const added = await threads.messages.create(thread_id, { role: "user", content: "Grüezi" });
  const run_id = job.run_id;

  async function* play(stream) {
    for (const [number, asked] of job.asked.entries()) {
      if (number === 0) yield await threads.runs.create(thread_id, { assistant_id: assistant.id, stream });
      else {
        const tool_outputs = asked.map((tool_call_id) => ({ tool_call_id, output: "any" }));
        yield await threads.runs.submitToolOutputs(run_id, { thread_id, tool_outputs, stream });
      }
    }
  }

  const result = { events: [], answered: [] };
  for await (const stream of play(true)) result.events.push(await drain(stream));
  const { steps } = threads.runs;
  result.assistant = assistant;
  result.assistant_again = await assistants.retrieve(assistant.id);
  result.thread = thread;
  result.thread_again = await threads.retrieve(thread_id);
  result.added = added.content[0].text.value;
  result.run = await threads.runs.retrieve(run_id, { thread_id });
  result.runs = await all(threads.runs.list(thread_id));
  result.steps = await all(steps.list(run_id, { thread_id, limit: 1, order: "asc", include }));
  result.steps_newest_first = await all(steps.list(run_id, { thread_id, limit: 2, include }));
  result.steps_by_id = [];
  for (const step of result.steps) result.steps_by_id.push(await steps.retrieve(step.id, { thread_id, run_id, include }));
  result.messages = await all(threads.messages.list(thread_id, { limit: 1, order: "asc" }));
  for await (const run of play(false)) result.answered.push(run);
  try {
    result.cancelled = (await threads.runs.cancel(run_id, { thread_id })).status;
  } catch (error) {
    result.cancelled = error.status;
  }
  try {
    await threads.runs.create(thread_id, { assistant_id: assistant.id });
  } catch (error) {
    result.exhausted = [error.status, error.code];
  }
  result.deleted = [(await assistants.delete(assistant.id)).deleted, (await threads.delete(thread_id)).deleted];
  return result;
}

for (const job of JSON.parse(process.argv[2])) console.log(JSON.stringify(await read(job)));
