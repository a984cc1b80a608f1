// Usage: node client.mjs URL
// Drives @connections of the fake gateway at URL with AWS's own client over https. The backend
// there answers every message with the connectionId.
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GetConnectionCommand,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import WebSocket from "ws";

const endpoint = process.argv[2];
const client = new ApiGatewayManagementApiClient({
  endpoint,
  region: "eu-central-1",
  credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
  maxAttempts: 1,
});

async function check(name, f) {
  await f();
  console.log("ok", name);
}

const ws = new WebSocket(endpoint.replace(/^http/, "ws"), { perMessageDeflate: false });
await once(ws, "open");
ws.send("who am I?");
const ConnectionId = (await once(ws, "message"))[0].toString();

await check("GetConnection", async () => {
  const info = await client.send(new GetConnectionCommand({ ConnectionId }));
  assert.equal(info.Identity.SourceIp, "127.0.0.1");
  assert.ok(Date.now() - info.ConnectedAt < 60_000 && info.LastActiveAt >= info.ConnectedAt);
});

await check("PostToConnection", async () => {
  for (const text of ["hello", "€".repeat(43690)]) {
    const message = once(ws, "message");
    await client.send(new PostToConnectionCommand({ ConnectionId, Data: text }));
    const [data, isBinary] = await message;
    assert.deepEqual([data.toString(), isBinary], [text, false]);
  }
});

await check("PayloadTooLargeException", async () => {
  const Data = "x".repeat(131073);
  await assert.rejects(client.send(new PostToConnectionCommand({ ConnectionId, Data })), (err) => {
    assert.equal(err.$metadata.httpStatusCode, 413);
    assert.equal(err.name, "PayloadTooLargeException");
    return true;
  });
});

await check("DeleteConnection", async () => {
  const closed = once(ws, "close");
  await client.send(new DeleteConnectionCommand({ ConnectionId }));
  const [code, reason] = await closed;
  assert.deepEqual([code, reason.toString()], [1000, "Connection Closed Normally"]);
});

await check("GoneException", async () => {
  for (const Command of [PostToConnectionCommand, GetConnectionCommand, DeleteConnectionCommand]) {
    await assert.rejects(client.send(new Command({ ConnectionId, Data: "x" })), (err) => {
      assert.equal(err.name, "GoneException");
      return true;
    });
  }
});

process.exit(); // the client keeps its sockets
