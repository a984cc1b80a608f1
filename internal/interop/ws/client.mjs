// Usage: node client.mjs URL
// Checks the fake gateway at URL, an echo with an idle limit of two seconds.
import assert from "node:assert/strict";
import { once } from "node:events";
import WebSocket from "ws";

const url = process.argv[2];
setTimeout(() => {
  console.error("not done after a minute");
  process.exit(1);
}, 60_000);

async function connect() {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  await once(ws, "open");
  return ws;
}

async function check(name, f) {
  await f();
  console.log("ok", name);
}

await check("echo", async () => {
  const ws = await connect();
  for (const text of ["hello", "", "€".repeat(10000)]) {
    ws.send(text);
    const [data, isBinary] = await once(ws, "message");
    assert.equal(isBinary, false);
    assert.equal(data.toString(), text);
  }
  ws.close(4001, "bye");
  const [code, reason] = await once(ws, "close");
  assert.deepEqual([code, reason.toString()], [4001, "bye"]);
});

await check("message in fragments", async () => {
  const ws = await connect();
  for (let i = 0; i < 4; i++) ws.send("x".repeat(32768), { fin: i === 3 });
  const [data] = await once(ws, "message");
  assert.equal(data.length, 131072);
  ws.terminate();
});

await check("ping and pong", async () => {
  const ws = await connect();
  ws.ping("payload");
  const [data] = await once(ws, "pong");
  assert.equal(data.toString(), "payload");
  ws.terminate();
});

await check("1009 on a frame of 32769 bytes", async () => {
  const ws = await connect();
  ws.send("x".repeat(32768));
  const [data] = await once(ws, "message");
  assert.equal(data.length, 32768);
  ws.send("x".repeat(32769));
  const [code, reason] = await once(ws, "close");
  assert.deepEqual([code, reason.toString()], [1009, "Max frame length of 32768 has been exceeded."]);
});

await check("1003 on a binary frame", async () => {
  const ws = await connect();
  ws.send(Buffer.from("x"));
  const [code] = await once(ws, "close");
  assert.equal(code, 1003);
});

await check("1001 when idle, later with a ping", async () => {
  const silent = await connect();
  const pinging = await connect();
  const began = Date.now();
  setTimeout(() => pinging.ping(), 1000);
  const ends = [silent, pinging].map(async (ws) => {
    const [code, reason] = await once(ws, "close");
    assert.deepEqual([code, reason.toString()], [1001, "Going away"]);
    return Date.now() - began;
  });
  const [first, second] = await Promise.all(ends);
  assert.ok(first > 1900 && second > first + 500, `${first} ms, ${second} ms`);
});

await check("403 on a wrong stage", async () => {
  const ws = new WebSocket(url + "x");
  const [, response] = await once(ws, "unexpected-response");
  assert.equal(response.statusCode, 403);
  response.resume();
});

await check("@connections", async () => {
  const ws = await connect();
  const base = url.replace(/^ws/, "http") + "/@connections/";
  const gone = await fetch(base + "JC1dgf9yoAMCK-g%3D", { method: "POST", body: "x" });
  assert.equal(gone.status, 410);
  assert.equal(gone.headers.get("x-amzn-errortype"), "GoneException");
  ws.terminate();
});

process.exit(); // the refused handshake leaves a socket in the agent's pool
