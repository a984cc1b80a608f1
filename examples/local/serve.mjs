// Serves functions over the Lambda Invoke API, all of a file in one process and without Docker:
//
//   node serve.mjs functions.mjs 3001
//
// The function SendMessage is the export sendMessage.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [file, port] = process.argv.slice(2);
const functions = await import(pathToFileURL(file));

createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const [, name] = request.url.match(/^\/2015-03-31\/functions\/([^/]+)\/invocations$/) ?? [];
  const handler = name && functions[name[0].toLowerCase() + name.slice(1)];
  if (!handler) {
    response.writeHead(404).end(`no function ${name}\n`);
    return;
  }
  try {
    response.end(JSON.stringify(await handler(JSON.parse(body), {}) ?? null));
  } catch (error) {
    console.error(error);
    response.setHeader("X-Amz-Function-Error", "Unhandled"); // as Lambda does, with status 200
    response.end(JSON.stringify({ errorType: error.name, errorMessage: error.message }));
  }
}).listen(Number(port), "127.0.0.1", () => console.log(`functions: ${Object.keys(functions).join(", ")}`));
