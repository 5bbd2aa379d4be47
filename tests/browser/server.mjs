// A server of a test's own: `pinrail up` in a throwaway folder, on a free port, and calls of its API.
import { spawn, execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export const PINRAIL = process.env.PINRAIL;
if (!PINRAIL) throw new Error("PINRAIL names no binary: start these tests with tests/browser/run");

/// Long enough for a debug build on a busy machine to start; whoever waits longer waits for nothing.
const STARTS_WITHIN_MS = 60_000;

export class Server {
  /// Starts one. `dir` is kept when it is given, else it is a folder that goes with the server.
  static async start({ dir } = {}) {
    const server = new Server();
    server.ownsDir = !dir;
    server.dir = dir ?? (await mkdtemp(join(tmpdir(), "pinrail-browser-")));
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    await server.up();
    return server;
  }

  /// Starts the process, on the port that it had before.
  async up() {
    const args = ["up", "--dir", this.dir, "--listen", `127.0.0.1:${this.port}`];
    this.child = spawn(PINRAIL, args, { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env.PATH } });
    this.log = "";
    this.child.stderr.on("data", (data) => (this.log += data));
    await new Promise((resolve, reject) => {
      let said = "";
      const late = setTimeout(() => reject(new Error(`the server did not start: ${said}${this.log}`)), STARTS_WITHIN_MS);
      this.child.stdout.on("data", (data) => {
        said += data;
        if (said.includes(" listens on ")) (clearTimeout(late), resolve());
      });
      this.child.once("exit", (code) => (clearTimeout(late), reject(new Error(`the server ended with ${code}: ${this.log}`))));
    });
  }

  /// Ends the process, and waits for it.
  async down(signal = "SIGTERM") {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    // Streams of open pages may keep a polite end waiting.
    const late = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    await gone;
    clearTimeout(late);
  }

  async stop() {
    await this.down("SIGKILL");
    if (this.ownsDir) await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }

  /// Calls the API; an answer that is no success is an error, with all that it says.
  async api(method, path, body, headers = {}) {
    const json = body === undefined || typeof body === "string" || body instanceof Uint8Array;
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(json ? {} : { "content-type": "application/json" }),
        ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
        ...headers,
      },
      body: json ? body : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw Object.assign(new Error(`${method} ${path}: ${response.status} ${text}`), { status: response.status });
    return text ? JSON.parse(text) : {};
  }

  get(path, headers) {
    return this.api("GET", path, undefined, headers);
  }

  post(path, body, headers) {
    return this.api("POST", path, body, headers);
  }

  put(path, body, headers) {
    return this.api("PUT", path, body, headers);
  }

  /// Runs a command of the binary against this server; gives what it prints.
  async cli(...args) {
    const env = { PATH: process.env.PATH, PINRAIL_URL: this.url, ...(this.token ? { PINRAIL_KEY: this.token } : {}) };
    const { stdout } = await promisify(execFile)(PINRAIL, args, { env, maxBuffer: 64 << 20 });
    return stdout;
  }
}

/// A port that nobody has now. The server is told it, so that it can come back on the same one.
async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
