// Send a command to a charge point and print its outcome.
// AMQP_URL=amqp://… node send_command.js CP-1 GetConfiguration '{"key": ["HeartbeatInterval"]}'
"use strict";
const crypto = require("node:crypto");
const amqp = require("amqplib");

const WITHIN_MS = 30_000;
const REPLIES = "amq.rabbitmq.reply-to"; // RabbitMQ's direct reply-to: no queue to declare, for this channel alone

async function main(identity, action, payload = "{}") {
  const request = {
    command_id: crypto.randomUUID(),
    action,
    payload: JSON.parse(payload),
    deadline_ms: Date.now() + WITHIN_MS,
  };
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createConfirmChannel();
  const outcome = new Promise((resolve, reject) => {
    const lost = () => reject(new Error("connection lost: what became of the command is not known"));
    connection.on("error", lost);
    connection.on("close", lost);
    channel.on("return", () => reject(new Error("no queue takes commands: is this the right broker?")));
    setTimeout(() => reject(new Error("no outcome")), WITHIN_MS + 10_000).unref(); // it comes by deadline + 3 s
    const onReply = (message) => {
      if (message?.properties.correlationId === request.command_id) resolve(JSON.parse(message.content.toString()));
    };
    // Before the request, on the same channel.
    channel.consume(REPLIES, onReply, { noAck: true }).catch(reject);
  });
  channel.publish("ocpp.commands", identity, Buffer.from(JSON.stringify(request)), {
    contentType: "application/json",
    type: "command",
    messageId: request.command_id,
    correlationId: request.command_id,
    replyTo: REPLIES,
    persistent: true,
    mandatory: true,
  });
  const [answer] = await Promise.all([outcome, channel.waitForConfirms()]);
  console.log(JSON.stringify(answer));
  await connection.close();
  return answer.outcome === "result" ? 0 : 1;
}

main(...process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error) => {
    console.error(error.message);
    process.exit(2);
  },
);
