# ruby-openai: read served recordings, and print them as JSON. Its argument are the jobs, see `test_served`.

require "json"
require "openai"

INCLUDE = { "include[]": "step_details.tool_calls[*].file_search.results[*].content" }.freeze

def read(job)
  client = OpenAI::Client.new(access_token: "any", uri_base: job["url"])
  thread_id, run_id = job.values_at("thread_id", "run_id")

  play = lambda do |parameters|
    job["asked"].each_with_index.map do |asked, number|
      events = []
      given = parameters.call(events)
      answer =
        if number.zero?
          client.runs.create(thread_id: thread_id, parameters: { assistant_id: job["assistant_id"], **given })
        else
          outputs = asked.map { |ident| { tool_call_id: ident, output: "any" } }
          client.runs.submit_tool_outputs(thread_id: thread_id, run_id: run_id, parameters: { tool_outputs: outputs, **given })
        end
      given.empty? ? answer : events
    end
  end

  stream = ->(events) { { stream: proc { |chunk, event| events << [event, chunk] } } }
  result = { events: play.call(stream) }
  result[:assistant] = client.assistants.create(parameters: { model: "any" })
  result[:assistant_again] = client.assistants.retrieve(id: job["assistant_id"])
  result[:thread] = client.threads.create
  result[:thread_again] = client.threads.retrieve(id: thread_id)
  result[:run] = client.runs.retrieve(id: run_id, thread_id: thread_id)
  result[:runs] = client.runs.list(thread_id: thread_id)["data"]
  list = client.run_steps.list(thread_id: thread_id, run_id: run_id, parameters: { order: "asc", limit: 100, **INCLUDE })
  result[:steps] = list["data"]
  result[:steps_newest_first] = client.run_steps.list(thread_id: thread_id, run_id: run_id, parameters: { limit: 100, **INCLUDE })["data"]
  result[:steps_by_id] = list["data"].map { |step| client.run_steps.retrieve(thread_id: thread_id, run_id: run_id, id: step["id"], parameters: INCLUDE) }
  result[:messages] = client.messages.list(thread_id: thread_id, parameters: { order: "asc", limit: 100 })["data"]
  result[:answered] = play.call(->(_) { {} })
  result
end

JSON.parse(ARGV[0]).each { |job| puts JSON.generate(read(job)) }
