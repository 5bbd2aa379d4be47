// A model provider that answers what a test tells it to: OpenAI's chat completions, over HTTP on this machine.
import { createServer } from "node:http";

/// `answer(request)` gives `{ text, tool, model, status }`, each may be absent.
export async function provider(answer) {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (data) => (body += data));
    request.on("end", () => {
      response.setHeader("content-type", "application/json");
      if (request.method === "GET") return response.end(JSON.stringify({ object: "list", data: [] }));
      const asked = JSON.parse(body || "{}");
      const { text = "Fine.", tool, model = asked.model, status = 200 } = answer(asked);
      response.statusCode = status;
      if (status !== 200) return response.end(JSON.stringify({ error: { message: text, type: "server_error" } }));
      const calls = tool && [{ id: "call_1", type: "function", function: { name: tool.name, arguments: JSON.stringify(tool.arguments) } }];
      const message = { role: "assistant", content: calls ? null : text, ...(calls ? { tool_calls: calls } : {}) };
      const usage = { prompt_tokens: 40, completion_tokens: 12, total_tokens: 52 };
      const choices = [{ index: 0, message, finish_reason: calls ? "tool_calls" : "stop" }];
      response.end(JSON.stringify({ id: "chatcmpl-1", object: "chat.completion", created: 1, model, choices, usage }));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/v1`, stop: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())) };
}
