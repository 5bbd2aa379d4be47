// The same proxy through the official TypeScript SDK: prints the tools that it is served.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const client = new Client({ name: "story", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2])));
const { tools } = await client.listTools();
console.log(tools.map((tool) => tool.name).sort().join(" "));
const said = await client.callTool({ name: "echo", arguments: { message: "hello from TypeScript" } });
console.log(said.content[0].text);
await client.close();
