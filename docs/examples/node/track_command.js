// Hand over a command that outlives outages, also those of the charge point, and wait for its end.
// AMQP_URL=amqp://… node track_command.js CP-1 ChangeConfiguration '{"key": "HeartbeatInterval", "value": "300"}'
// With the command id of an earlier run as one more argument it goes on where that run left off.
"use strict";
const crypto = require("node:crypto");
const amqp = require("amqplib");

const RECEIPT_WITHIN_MS = 10_000;

// How an identity is written in the routing key of an event.
function routingToken(identity) {
  const escape = (byte) => "=" + byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");
  const token = Buffer.from(identity, "utf8").toString("latin1").replace(/[^A-Za-z0-9_-]/g, escape);
  if (token.length <= 160) return token;
  return `${token.slice(0, 94)}=h${crypto.createHash("sha256").update(identity, "utf8").digest("hex")}`;
}

async function main(identity, action, payload = "{}", commandId = crypto.randomUUID()) {
  const request = {
    command_id: commandId,
    action,
    payload: JSON.parse(payload),
    deadline_ms: Date.now() + 24 * 3600 * 1000,
    tracked: true,
  };
  console.log(`command ${request.command_id}`);
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createConfirmChannel();
  // One queue for the receipt and the event, there before the request: nothing can be missed.
  // A service has one durable queue of its own instead, for all its commands (see listen_events).
  const { queue } = await channel.assertQueue("", { exclusive: true });
  await channel.bindQueue(queue, "ocpp.events", `command.completed.${routingToken(identity)}`);

  // The same id again is the same command, however often it is published.
  const publish = () =>
    channel.publish("ocpp.commands", identity, Buffer.from(JSON.stringify(request)), {
      contentType: "application/json",
      type: "command",
      messageId: request.command_id,
      correlationId: request.command_id,
      replyTo: queue,
      persistent: true,
      mandatory: true,
    });
  let again;
  const ended = new Promise((resolve, reject) => {
    const lost = () => reject(new Error("connection lost: run it again with the same command id"));
    connection.on("error", lost);
    connection.on("close", lost);
    channel.on("return", () => reject(new Error("no queue takes commands: is this the right broker?")));
    const onMessage = (message) => {
      const body = JSON.parse(message.content.toString());
      let outcome = null;
      if (body.t === "receipt") {
        clearInterval(again);
        console.log(`stored, ${body.state}`);
        outcome = body.outcome; // when it had ended already
      } else if (body.t === "outcome") {
        outcome = body; // it cannot be taken: rejected
      } else if (body.t === "event") {
        outcome = body.data.outcome;
      }
      if (outcome?.command_id === request.command_id) resolve(outcome);
    };
    channel.consume(queue, onMessage, { noAck: true }).catch(reject);
  });
  publish();
  again = setInterval(publish, RECEIPT_WITHIN_MS);
  const outcome = await ended;
  clearInterval(again);
  console.log(JSON.stringify(outcome));
  await connection.close();
  return outcome.outcome === "result" ? 0 : 1;
}

main(...process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error) => {
    console.error(error.message);
    process.exit(2);
  },
);
