// Three Lambda functions of a room, as they are deployed: whoever is connected gets what anybody says.
import { ApiGatewayManagementApiClient, GoneException, PostToConnectionCommand }
  from "@aws-sdk/client-apigatewaymanagementapi";

// On AWS each function has a memory of its own, so there this is a table.
const members = new Set();

export async function connect(event) {
  members.add(event.requestContext.connectionId);
  return { statusCode: 200 };
}

export async function disconnect(event) {
  members.delete(event.requestContext.connectionId);
  return { statusCode: 200 };
}

export async function sendMessage(event) {
  const { domainName, stage } = event.requestContext;
  const api = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  await Promise.all([...members].map(async (ConnectionId) => {
    try {
      await api.send(new PostToConnectionCommand({ ConnectionId, Data: event.body }));
    } catch (error) {
      if (!(error instanceof GoneException)) throw error;
      members.delete(ConnectionId);
    }
  }));
  return { statusCode: 200 };
}
